//! What all lists of a packet have in common: made from slices, equal if their items are, shown
//! as their items, as what is left of them in an iterator is.

/// Implements the traits of a list type that has a variant `List(&'a [Item])`, a method
/// `iter(&self) -> Iter` and the items `Item`, and shows its iterator.
macro_rules! list_traits {
    ($list:ident<$a:lifetime>, $item:ty, $iter:ty) => {
        impl Default for $list<'_> {
            fn default() -> Self {
                Self::List(&[])
            }
        }

        impl PartialEq for $list<'_> {
            fn eq(&self, other: &Self) -> bool {
                self.iter().eq(other.iter())
            }
        }

        impl Eq for $list<'_> {}

        /// By the items, since they say whether lists are equal.
        impl core::hash::Hash for $list<'_> {
            fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
                let count = self.iter().inspect(|item| item.hash(state)).count();
                state.write_usize(count);
            }
        }

        impl core::fmt::Debug for $list<'_> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_list().entries(self.iter()).finish()
            }
        }

        /// The items that are still to come.
        impl<$a> core::fmt::Debug for $iter {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_list().entries(self.clone()).finish()
            }
        }

        impl<$a> From<&$a [$item]> for $list<$a> {
            fn from(list: &$a [$item]) -> Self {
                Self::List(list)
            }
        }

        impl<$a, const N: usize> From<&$a [$item; N]> for $list<$a> {
            fn from(list: &$a [$item; N]) -> Self {
                Self::List(list)
            }
        }

        impl<$a> IntoIterator for $list<$a> {
            type Item = $item;
            type IntoIter = $iter;

            #[inline]
            fn into_iter(self) -> $iter {
                self.iter()
            }
        }

        impl<$a> IntoIterator for &$list<$a> {
            type Item = $item;
            type IntoIter = $iter;

            #[inline]
            fn into_iter(self) -> $iter {
                self.iter()
            }
        }
    };
}

pub(crate) use list_traits;

#[cfg(test)]
mod tests {
    use crate::{
        Packet, PacketId, Properties, Property, QoS, ReasonCode, ReasonCodes, Sender, SubAck,
        Subscribe, Subscription, Subscriptions, TopicFilters, Unsubscribe, Version,
    };
    use alloc::format;
    use alloc::vec::Vec;
    use core::hash::{Hash, Hasher};

    /// Keeps what is hashed.
    #[derive(Default)]
    struct Fed(Vec<u8>);

    impl Hasher for Fed {
        fn write(&mut self, bytes: &[u8]) {
            self.0.extend(bytes);
        }

        fn finish(&self) -> u64 {
            0
        }
    }

    fn hashed(value: impl Hash) -> Vec<u8> {
        let mut fed = Fed::default();
        value.hash(&mut fed);
        fed.0
    }

    const SUBSCRIPTIONS: [Subscription<'static>; 2] =
        [Subscription::new("a", QoS::AtMostOnce), Subscription::new("b/#", QoS::AtLeastOnce)];

    #[test]
    fn what_was_received_hashes_as_what_was_sent() {
        let properties = Properties::List(&[Property::UserProperty("unit", "°C")]);
        let codes = [ReasonCode::GRANTED_QOS_1, ReasonCode::NOT_AUTHORIZED];
        let sent: [(Packet<'_>, Sender); 3] = [
            (
                Subscribe { properties, ..Subscribe::new(PacketId::MIN, &SUBSCRIPTIONS) }.into(),
                Sender::Client,
            ),
            (Unsubscribe::new(PacketId::MIN, &["a", "b/#"]).into(), Sender::Client),
            (SubAck::new(PacketId::MIN, &codes).into(), Sender::Server),
        ];
        for (packet, sender) in sent {
            let mut frame = Vec::new();
            packet.encode(Version::V5, &mut frame).unwrap();
            let received = Packet::decode(&frame, Version::V5, sender).unwrap();
            assert_eq!(received, packet);
            assert_eq!(hashed(received), hashed(packet), "{packet}");
        }
    }

    #[test]
    fn lists_that_end_elsewhere_hash_otherwise() {
        let (one, two) = (&["a"][..], &["a", "b"][..]);
        let hashed =
            |first, second| hashed((TopicFilters::List(first), TopicFilters::List(second)));
        assert_ne!(hashed(two, one), hashed(one, two));
        assert_ne!(hashed(&[], one), hashed(one, &[]));
    }

    #[test]
    fn an_iterator_shows_the_items_that_are_to_come() {
        let list = Subscribe::new(PacketId::MIN, &SUBSCRIPTIONS);
        let mut frame = Vec::new();
        Packet::from(list).encode(Version::V5, &mut frame).unwrap();
        let Ok(Packet::Subscribe(received)) = Packet::decode(&frame, Version::V5, Sender::Client)
        else {
            panic!("no SUBSCRIBE");
        };
        for subscriptions in [list.subscriptions, received.subscriptions] {
            let mut iter = subscriptions.iter();
            assert_eq!(format!("{iter:?}"), format!("{SUBSCRIPTIONS:?}"));
            iter.next();
            assert_eq!(format!("{iter:?}"), format!("{:?}", &SUBSCRIPTIONS[1..]));
        }
        assert_eq!(format!("{:?}", TopicFilters::List(&["a"]).iter()), r#"["a"]"#);
        let codes = [ReasonCode::GRANTED_QOS_1];
        assert_eq!(format!("{:?}", ReasonCodes::List(&codes).iter()), format!("{codes:?}"));
        let properties = [Property::TopicAlias(1)];
        let shown = format!("{:?}", Properties::List(&properties).iter());
        assert_eq!(shown, format!("{properties:?}"));
        assert_eq!(format!("{:?}", Subscriptions::default().iter()), "[]");
    }
}
