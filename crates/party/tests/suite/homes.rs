//! A party's directory.

use crate::world::name;
use entente_party::{Home, HomeError, SignKeySource};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

#[test]
fn a_home_is_made_once_and_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("north");
    let home = Home::init(&path, &name("north"), &SignKeySource::Generate).unwrap();
    let key = home.sign_key().clone();
    assert!(matches!(
        Home::init(&path, &name("south"), &SignKeySource::Generate),
        Err(HomeError::AlreadyThere { .. })
    ));
    let again = Home::open(&path).unwrap();
    assert_eq!(again.name().as_str(), "north");
    assert!(*again.sign_key() == key);
    assert_eq!(again.result_key(), home.result_key());
    let mode = |file: &str| fs::metadata(path.join(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(""), mode("sign_key"), mode("age_identity.txt"), mode("journal")),
        (0o700, 0o600, 0o600, 0o600)
    );
    // Nothing is left of the making, and an empty directory may be filled.
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    let empty = directory.path().join("south");
    fs::create_dir(&empty).unwrap();
    Home::init(&empty, &name("south"), &SignKeySource::Generate).unwrap();
    assert!(matches!(Home::open(directory.path()), Err(HomeError::NotAHome { .. })));
}

#[test]
fn secrets_that_others_can_read_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("north");
    let home = Home::init(&path, &name("north"), &SignKeySource::Generate).unwrap();
    fs::set_permissions(path.join("sign_key"), fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(home.signer(), Err(HomeError::ReadableByOthers { .. })));
    fs::set_permissions(path.join("age_identity.txt"), fs::Permissions::from_mode(0o604)).unwrap();
    assert!(matches!(Home::open(&path), Err(HomeError::ReadableByOthers { .. })));
}

#[test]
fn an_exchanged_private_key_does_not_sign() {
    let directory = tempfile::tempdir().unwrap();
    let north = Home::init(&directory.path().join("n"), &name("north"), &SignKeySource::Generate).unwrap();
    let south = Home::init(&directory.path().join("s"), &name("south"), &SignKeySource::Generate).unwrap();
    fs::copy(south.directory().join("sign_key"), north.directory().join("sign_key")).unwrap();
    assert!(matches!(north.signer(), Err(HomeError::OtherKey { .. })));
}

#[test]
fn pins_are_not_changed_silently() {
    let directory = tempfile::tempdir().unwrap();
    let homes: Vec<Home> = ["north", "south", "east"]
        .iter()
        .map(|party| {
            Home::init(&directory.path().join(party), &name(party), &SignKeySource::Generate).unwrap()
        })
        .collect();
    let [north, south, east] = &homes[..] else { unreachable!() };
    north.trust(south.name(), south.sign_key()).unwrap();
    north.trust(south.name(), south.sign_key()).unwrap();
    assert!(matches!(north.trust(south.name(), east.sign_key()), Err(HomeError::KnownWithOtherKey { .. })));
    assert!(matches!(north.trust(east.name(), south.sign_key()), Err(HomeError::KnownUnderOtherName { .. })));
    north.trust(east.name(), east.sign_key()).unwrap();
    let text = fs::read_to_string(north.known_parties_file()).unwrap();
    assert_eq!(text.lines().filter(|line| !line.starts_with('#')).count(), 2);
}

#[test]
fn stock_age_uses_the_identity_file() {
    if Command::new("age").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "stock age is not installed");
        println!("skipped: stock age is not installed");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let home = Home::init(&directory.path().join("n"), &name("north"), &SignKeySource::Generate).unwrap();
    let plain = directory.path().join("plain");
    let sealed = directory.path().join("sealed");
    fs::write(&plain, b"for north").unwrap();
    let run = |arguments: &[&std::ffi::OsStr]| {
        let output = Command::new("age").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    run(&["-r".as_ref(), home.result_key().as_ref(), "-o".as_ref(), sealed.as_ref(), plain.as_ref()]);
    let opened = run(&["-d".as_ref(), "-i".as_ref(), home.identity_file().as_ref(), sealed.as_ref()]);
    assert_eq!(opened, b"for north");
}
