#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sansio_mqtt_fuzz::bodies::broker::run(data));
