//! Writes a corpus from the forge: `cargo run --example seed -- corpus`.

use std::{error::Error, fs, path::Path};

use entente_agreement::{InputEntry, InputSet};
use entente_attestation::{Digest384, Measurements};
use entente_receipt::{Receipt, ResultFile, Statement};
use entente_testkit::{Attestation, ForgedHypervisor, Forgery, PayloadForm};

const TIME: u64 = 1_776_810_820_000;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1).ok_or("usage: seed DIRECTORY")?;
    let directory = Path::new(&directory);
    let hypervisor = ForgedHypervisor::new();
    let plain = Attestation::at(TIME);
    let write = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(directory.join(target)).and_then(|()| fs::write(directory.join(target).join(name), bytes))
    };

    let forgery = hypervisor.forgery(&plain);
    write("document", "plain", &forgery.sign())?;
    write("document", "definite", &Forgery { payload_form: PayloadForm::Definite, ..forgery.clone() }.sign())?;
    write("document", "tagged", &Forgery { tags: vec![18], ..forgery.clone() }.sign())?;
    write("document", "debug", &hypervisor.attest(&plain.clone().in_debug_mode()))?;
    let full = plain
        .clone()
        .bound_to(&[1; 48], &[2; 48])
        .with_public_key(&[3; 1024])
        .with_user_data(&[4; 1024])
        .with_nonce(&[5; 1024]);
    write("document", "full", &hypervisor.attest(&full))?;

    for (place, certificate) in (0_u8..).zip(forgery.chain.sign()) {
        write("chain", &format!("certificate-{place}"), &[&[place][..], &certificate].concat())?;
    }
    for changes in 0..64 {
        write("policy", &format!("changes-{changes}"), &[&[changes][..], &[7; 32]].concat())?;
    }
    for text in ["1970-01-01T00:00:00Z", "2000-02-29T23:59:59.999Z", "9999-12-31T23:59:59Z"] {
        write("clock", text, text.as_bytes())?;
    }

    let agreement = Digest384::of(b"agreement");
    let entries = vec![
        InputEntry::present("bids".parse()?, "ada".parse()?, Digest384::of(b"manifest")),
        InputEntry::absent("more".parse()?, "bea".parse()?),
    ];
    let set = InputSet::new(agreement, &"auction".parse()?, 1, entries)?;
    let image = Measurements::new(Digest384::of(b"0"), Digest384::of(b"1"), Digest384::of(b"2"))?;
    let results = [ResultFile {
        output: "own".parse()?,
        recipient: "ada".parse()?,
        sealed: Digest384::of(b"sealed"),
        opened: Digest384::of(b"opened"),
    }];
    let statement = Statement::new(&set, None, &image, &results)?;
    let document = plain
        .bound_to(agreement.as_ref(), set.digest().as_ref())
        .with_user_data(statement.user_data().as_ref());
    write("receipt", "statement", statement.bytes())?;
    let receipt = Receipt::assemble(&statement, &hypervisor.attest(&document))?;
    write("receipt", "receipt", receipt.bytes())?;
    Ok(())
}
