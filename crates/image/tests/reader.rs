//! Files that are each wrong in one way, and files that are wrong at random.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test reads files and has nobody to report to"
)]

use entente_image::{
    Application, BuildError, Eif, EifBuilder, EifError, EnclaveImage, Metadata, Ramdisk, RamdiskBuilder,
    RamdiskLimits, SectionKind,
};

const HEADER: usize = 548;
const OFFSETS: usize = 28;
const SIZES: usize = OFFSETS + 256;

/// Sections: kernel (4 bytes), command line (3), metadata, ramdisks of 5 and 6 bytes.
fn sample() -> Vec<u8> {
    EifBuilder::new(b"KERN", "cmd", &Metadata::new("n", "v"))
        .ramdisk(b"first")
        .ramdisk(b"second")
        .build()
        .unwrap()
}

fn with(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut file = sample();
    change(&mut file);
    repair(&mut file);
    file
}

fn repair(file: &mut [u8]) {
    if file.len() >= HEADER {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&file[..544]);
        crc.update(&file[HEADER..]);
        file[544..HEADER].copy_from_slice(&crc.finalize().to_be_bytes());
    }
}

fn error(file: &[u8]) -> EifError {
    Eif::parse(file).unwrap_err()
}

fn put(file: &mut [u8], at: usize, value: u64) {
    file[at..at + 8].copy_from_slice(&value.to_be_bytes());
}

fn get(file: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(file[at..at + 8].try_into().unwrap())
}

#[test]
fn header_faults() {
    assert_eq!(error(&[]), EifError::HeaderTruncated { found: 0 });
    assert_eq!(error(&sample()[..547]), EifError::HeaderTruncated { found: 547 });
    assert_eq!(error(&with(|f| f[0] = b'x')), EifError::Magic { found: *b"xeif" });
    assert_eq!(error(&with(|f| f[5] = 3)), EifError::Version { found: 3 });
    assert_eq!(error(&with(|f| f[7] = 2)), EifError::HeaderFlags { found: 2 });
    assert_eq!(error(&with(|f| f[25] = 1)), EifError::UnusedField);
    assert_eq!(error(&with(|f| f[543] = 1)), EifError::UnusedField);
    assert_eq!(error(&with(|f| f[27] = 0)), EifError::SectionCount { found: 0 });
    assert_eq!(error(&with(|f| f[27] = 33)), EifError::SectionCount { found: 33 });
    assert_eq!(error(&with(|f| f[26] = 0xff)), EifError::SectionCount { found: 0xff05 });
    assert_eq!(error(&with(|f| f[27] = 4)), EifError::UnusedSlot { index: 4 });
    assert_eq!(error(&with(|f| put(f, SIZES + 8 * 31, 1))), EifError::UnusedSlot { index: 31 });
}

#[test]
fn section_faults() {
    let second = OFFSETS + 8;
    assert_eq!(
        error(&with(|f| put(f, second, 548))),
        EifError::Overlap { index: 1, expected: 564, found: 548 }
    );
    assert_eq!(error(&with(|f| put(f, second, 565))), EifError::Gap { index: 1, expected: 564, found: 565 });
    assert_eq!(
        error(&with(|f| put(f, OFFSETS, u64::MAX))),
        EifError::Gap { index: 0, expected: 548, found: u64::MAX }
    );
    assert_eq!(error(&with(|f| put(f, SIZES, 5))), EifError::SizeMismatch { index: 0, table: 5, section: 4 });
    for huge in [1 << 20, 1 << 32, u64::MAX] {
        let file = with(|f| {
            put(f, SIZES, huge);
            put(f, HEADER + 4, huge);
        });
        assert!(matches!(error(&file), EifError::SectionTruncated { index: 0, size, .. } if size == huge));
    }
    assert_eq!(error(&with(|f| f[HEADER + 1] = 0)), EifError::SectionType { index: 0, found: 0 });
    assert_eq!(error(&with(|f| f[HEADER + 1] = 6)), EifError::SectionType { index: 0, found: 6 });
    assert_eq!(error(&with(|f| f[HEADER + 3] = 1)), EifError::SectionFlags { index: 0, found: 1 });
    assert_eq!(error(&with(|f| f.push(0))), EifError::TrailingBytes { found: 1 });
    assert!(matches!(
        error(&with(|f| {
            f.pop();
        })),
        EifError::SectionTruncated { index: 4, size: 6, available: 5 }
    ));
    assert_eq!(
        error(&with(|f| put(f, SIZES + 8, 5000))),
        EifError::SizeMismatch { index: 1, table: 5000, section: 3 }
    );
    assert_eq!(
        error(&with(|f| {
            put(f, SIZES + 8, 5000);
            put(f, 564 + 4, 5000);
        })),
        EifError::SectionTooLarge { kind: SectionKind::CommandLine, limit: 4096, found: 5000 }
    );
}

#[test]
fn composition_faults() {
    let kernel = HEADER + 1;
    let command_line = 564 + 1;
    let file = sample();
    let ramdisk = usize::try_from(get(&file, OFFSETS + 24)).unwrap() + 1;
    assert_eq!(
        error(&with(|f| f[kernel] = 5)),
        EifError::OutOfOrder { index: 1, kind: SectionKind::CommandLine }
    );
    assert_eq!(
        error(&with(|f| f[command_line] = 1)),
        EifError::Repeated { index: 1, kind: SectionKind::Kernel }
    );
    assert_eq!(
        error(&with(|f| f[command_line] = 3)),
        EifError::OutOfOrder { index: 1, kind: SectionKind::Ramdisk }
    );
    assert_eq!(
        error(&with(|f| f[ramdisk] = 5)),
        EifError::Repeated { index: 3, kind: SectionKind::Metadata }
    );
    assert_eq!(error(&with(|f| f[564 + 12] = 0)), EifError::CommandLineNul { position: 0 });
    assert_eq!(
        EifBuilder::new(b"k", "c", &Metadata::new("n", "v")).build(),
        Err(BuildError::Image(EifError::Missing { kind: SectionKind::Ramdisk }))
    );
    assert_eq!(
        EifBuilder::new(b"", "c", &Metadata::new("n", "v")).ramdisk(b"r").build(),
        Err(BuildError::Image(EifError::EmptyKernel))
    );
    let mut many = EifBuilder::new(b"k", "c", &Metadata::new("n", "v"));
    for _ in 0..29 {
        many = many.ramdisk(b"r");
    }
    assert!(many.build().is_ok());
    assert_eq!(many.ramdisk(b"r").build(), Err(BuildError::TooManySections { found: 33 }));
}

#[test]
fn any_flipped_bit_is_seen() {
    let file = sample();
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut changed = file.clone();
            changed[at] ^= 1 << bit;
            assert!(Eif::parse(&changed).is_err(), "byte {at} bit {bit}");
        }
    }
}

/// Moving the border between kernel and command line does not change the PCRs: the reader sees both images, and
/// whoever runs one must not rely on where its command line begins.
#[test]
fn borders_are_not_measured() {
    let metadata = Metadata::new("n", "v");
    let one =
        EifBuilder::new(b"KERNc", "md", &metadata).ramdisk(b"firsts").ramdisk(b"econd").build().unwrap();
    let other = sample();
    assert_ne!(one, other);
    assert_eq!(Eif::parse(&one).unwrap().measure().pcr0(), Eif::parse(&other).unwrap().measure().pcr0());
}

#[test]
fn application_layout() {
    let image = EnclaveImage::application(&Application::new("auction", "1", b"\x7fELF")).unwrap();
    let read = Eif::parse(image.bytes()).unwrap();
    let limits = RamdiskLimits::new(16, 1 << 20);
    let paths: Vec<Vec<String>> = read
        .ramdisks()
        .map(|r| Ramdisk::parse(r, limits).unwrap().entries().iter().map(|e| e.path().to_owned()).collect())
        .collect();
    assert_eq!(paths, [vec!["dev", "proc", "sys", "tmp"], vec!["app", "dev", "proc", "sys", "tmp"]]);
    assert!(read.kernel().starts_with(b"Entente: this image holds no kernel."));
    assert_eq!(read.measure(), *image.measurements());
    let timed = Application::new("auction", "1", b"\x7fELF").build_time("2030-01-01T00:00:00+00:00");
    let timed = EnclaveImage::application(&timed).unwrap();
    assert_ne!(timed.bytes(), image.bytes());
    assert_eq!(timed.measurements(), image.measurements());
    assert_eq!(
        EnclaveImage::application(&Application::new("auction", "1", b"")),
        Err(BuildError::EmptyProgram)
    );
}

/// A generator with a fixed seed (xorshift64*), so that a failure can be repeated.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let product = u128::from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)) * bound as u128;
        usize::try_from(product >> 64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>, hot: usize) {
        for _ in 0..=self.below(4) {
            let length = bytes.len().max(1);
            let at = if self.below(2) == 0 { self.below(hot.min(length)) } else { self.below(length) };
            match self.below(6) {
                0 if !bytes.is_empty() => bytes[at] = self.byte(),
                1 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                2 => bytes.truncate(at),
                3 => bytes.insert(at.min(bytes.len()), self.byte()),
                4 => {
                    let end = (at + self.below(16)).min(bytes.len());
                    bytes.drain(at.min(end)..end);
                }
                _ => {
                    let end = (at + 8).min(bytes.len());
                    bytes[at.min(end)..end].fill(if self.below(2) == 0 { 0xff } else { 0 });
                }
            }
        }
    }
}

#[test]
fn ten_thousand_mutations_of_an_image() {
    let mut numbers = Numbers(0x656e_7465_6e74_6531);
    let mut images = vec![sample()];
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/eif");
    images.extend(std::fs::read(format!("{dir}/x86-2rd-signed-p384.eif")));
    let mut accepted = 0;
    for round in 0..10_000 {
        let mut file = images[round % images.len()].clone();
        numbers.mutate(&mut file, HEADER + 64);
        if round % 4 != 0 {
            repair(&mut file);
        }
        if let Ok(image) = Eif::parse(&file) {
            accepted += 1;
            let _ = image.measure();
            let _ = image.metadata();
            if let Some(signature) = image.signature() {
                let _ = signature.verify(image.measure().pcr0());
            }
        }
    }
    // With its checksum repaired, an image that differs inside a section is an image.
    assert!(accepted < 7_500, "{accepted}");
}

#[test]
fn ten_thousand_mutations_of_a_ramdisk() {
    let mut numbers = Numbers(0x656e_7465_6e74_6532);
    let archive = RamdiskBuilder::new()
        .directory("d", entente_image::Mode::OWNER)
        .and_then(|r| r.file("d/f", entente_image::Mode::READ, b"contents"))
        .and_then(|r| r.link("d/l", "../d"))
        .unwrap()
        .build()
        .unwrap();
    for _ in 0..10_000 {
        let mut changed = archive.clone();
        numbers.mutate(&mut changed, 110);
        if let Ok(read) = Ramdisk::parse(&changed, RamdiskLimits::new(16, 1 << 10)) {
            for entry in read.entries() {
                assert!(!entry.path().starts_with('/'));
                assert!(entry.path().split('/').all(|part| part != ".." && !part.is_empty()));
            }
        }
    }
}
