//! Enclave images and ramdisks: no panic, and what is read is measured and described.
#![no_main]

use entente_image::{Description, Eif, Ramdisk, RamdiskLimits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(image) = Eif::parse(bytes) {
        let _ = image.measure();
        let _ = Description::of(&image).to_json();
        for ramdisk in image.ramdisks() {
            let _ = Ramdisk::parse(ramdisk, RamdiskLimits::new(1024, 1 << 20));
        }
    }
    let _ = Ramdisk::parse(bytes, RamdiskLimits::new(1024, 1 << 20));
});
