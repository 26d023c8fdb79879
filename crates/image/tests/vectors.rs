//! Images that AWS's `eif_build` made, in both directions: measured, and built again from their inputs.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test reads files, says why it was skipped, and has nobody to report to"
)]

use std::fs;
use std::path::PathBuf;

use entente_image::{Architecture, Description, Eif, EifBuilder, Metadata, SectionKind};

fn vectors() -> Option<PathBuf> {
    let dir = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/eif"));
    if dir.is_dir() {
        return Some(dir);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing", dir.display());
    println!("skipped: {} is missing", dir.display());
    None
}

const NAMES: [&str; 4] = ["x86-2rd", "arm-2rd", "x86-1rd", "x86-2rd-signed-p384"];

/// What `eif_build` printed: a line for people, then JSON.
fn printed(dir: &std::path::Path, name: &str) -> serde_json::Value {
    let text = fs::read_to_string(dir.join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&text[text.find('{').unwrap()..]).unwrap()
}

#[test]
fn measurements_equal_those_of_eif_build() {
    let Some(dir) = vectors() else { return };
    for name in NAMES {
        let file = fs::read(dir.join(format!("{name}.eif"))).unwrap();
        let image = Eif::parse(&file).unwrap();
        let expected = printed(&dir, name);
        let measured = image.measure();
        for (register, value) in [
            ("PCR0", Some(measured.pcr0())),
            ("PCR1", Some(measured.pcr1())),
            ("PCR2", Some(measured.pcr2())),
            ("PCR8", measured.pcr8()),
        ] {
            assert_eq!(
                value.map(ToString::to_string),
                expected.get(register).map(|v| v.as_str().unwrap().to_owned()),
                "{name} {register}"
            );
        }
        let description: serde_json::Value =
            serde_json::from_str(&Description::of(&image).to_json()).unwrap();
        assert_eq!(description["Measurements"], expected, "{name}");
        assert_eq!(description["ImageName"], "v");
        assert_eq!(description["IsSigned"], name.contains("signed"));
    }
}

#[test]
fn the_same_inputs_give_the_bytes_of_eif_build() {
    let Some(dir) = vectors() else { return };
    let input = |name: &str| fs::read(dir.join("inputs").join(name)).unwrap();
    let kernel = input("kernel.bin");
    let ramdisks = [input("ramdisk0.bin"), input("ramdisk1.bin")];
    let metadata = Metadata::new("v", "v").with_tool("eif_build", "0.2.1");
    for name in NAMES {
        let file = fs::read(dir.join(format!("{name}.eif"))).unwrap();
        let image = Eif::parse(&file).unwrap();
        let command_line = "reboot=k panic=30 pci=off nomodules console=ttyS0 i8042.noaux random.trust_cpu=on \
                            root=/dev/ram0";
        let mut builder = EifBuilder::new(&kernel, command_line, &metadata);
        builder = builder.ramdisk(&ramdisks[0]);
        if name != "x86-1rd" {
            builder = builder.ramdisk(&ramdisks[1]);
        }
        if name.starts_with("arm") {
            builder = builder.architecture(Architecture::Arm64);
        }
        if let Some(signature) = image.sections().iter().find(|s| s.kind() == SectionKind::Signature) {
            builder = builder.signature_section(signature.bytes());
        }
        assert_eq!(builder.build().unwrap(), file, "{name}");
    }
}

#[test]
fn the_signing_certificate_is_the_one_that_signed() {
    let Some(dir) = vectors() else { return };
    let file = fs::read(dir.join("x86-2rd-signed-p384.eif")).unwrap();
    let pem = fs::read(dir.join("inputs/p384.pem")).unwrap();
    use rustls_pki_types::pem::PemObject as _;
    let certificate = rustls_pki_types::CertificateDer::from_pem_slice(&pem).unwrap();
    let image = Eif::parse(&file).unwrap();
    assert_eq!(image.signature().unwrap().certificate_der(), &*certificate);
    image.signature().unwrap().verify(image.measure().pcr0()).unwrap();
    let other = image.signature().unwrap().verify(image.measure().pcr1());
    assert_eq!(other, Err(entente_image::SignatureError::OtherImage));
}
