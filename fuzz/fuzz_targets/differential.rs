#![no_main]

use libfuzzer_sys::fuzz_target;
use sansio_mqtt_fuzz::differential;

fuzz_target!(
    init: differential::ignore_panics_of_peers(),
    |data: &[u8]| differential::run(data)
);
