"""Just enough of MQTT to tell one packet from the next."""

KINDS = ("RESERVED CONNECT CONNACK PUBLISH PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE SUBACK UNSUBSCRIBE"
         " UNSUBACK PINGREQ PINGRESP DISCONNECT AUTH").split()


def split(stream):
    """The names of the whole packets in `stream`, and how many bytes are left over behind them."""
    kinds, at = [], 0
    while at < len(stream):
        length, body = 0, at + 1
        while True:
            if body == len(stream) or body > at + 4:
                return kinds, len(stream) - at
            byte = stream[body]
            length |= (byte & 0x7F) << 7 * (body - at - 1)
            body += 1
            if byte < 0x80:
                break
        if body + length > len(stream):
            return kinds, len(stream) - at
        kinds.append(KINDS[stream[at] >> 4])
        at = body + length
    return kinds, 0


def show(out):
    """Prints what packets each stream holds."""
    for path in sorted(out.glob("*.bin")):
        kinds, left = split(path.read_bytes())
        print(f"{path.name}: {' '.join(kinds)}{f' +{left} bytes' if left else ''}")
