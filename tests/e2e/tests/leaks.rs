//! Amounts that nobody but their owner may learn are nowhere: no file, log, answer, or memory of host and key services.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use entente_e2e::{PARTIES, Play, descendants, files_below, signal};
use rustix::process::{Resource, Rlimit, Signal, setrlimit};

/// Amounts of the example that no output names: bids that lost, were void or paid less than they offered, and reserves that
/// did not become a price. Owner and cents.
const SECRETS: [(&str, i64); 9] = [
    ("north", 125_000_000),
    ("north", 1_800_000),
    ("north", 31_000_000),
    ("south", 88_000_000),
    ("south", 90_100_000),
    ("harbour", 100_000_000),
    ("harbour", 60_000_000),
    ("harbour", 40_000_000),
    ("harbour", 85_000_000),
];

/// How an amount may stand somewhere: as in the table, and as whole cents in both byte orders. Eight bytes are the lower half of
/// sixteen, which is how the tables hold them.
fn forms(cents: i64) -> Vec<Vec<u8>> {
    let text = format!("{}.{:02}", cents / 100, cents % 100);
    let wide = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![text.into_bytes(), wide, cents.to_le_bytes().to_vec(), cents.to_be_bytes().to_vec()]
}

/// Positions of a needle.
fn count(haystack: &[u8], needle: &[u8]) -> usize {
    let (first, rest) = needle.split_first().unwrap();
    let mut found = 0;
    let mut left = haystack;
    while let Some(at) = left.iter().position(|byte| byte == first) {
        left = &left[at + 1..];
        found += usize::from(left.starts_with(rest));
    }
    found
}

fn has_secret_of_another(party: Option<&str>, bytes: &[u8]) -> Option<i64> {
    SECRETS
        .iter()
        .filter(|(owner, _)| Some(*owner) != party)
        .find(|(_, cents)| forms(*cents).iter().any(|form| count(bytes, form) > 0))
        .map(|(_, cents)| *cents)
}

/// The party that a file is in the hands of alone.
fn holder(inside: &Path) -> Option<&'static str> {
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap().to_owned();
    match first.as_str() {
        "reserves.csv" => Some("harbour"),
        "bids-north.csv" => Some("north"),
        "bids-south.csv" => Some("south"),
        name => PARTIES.iter().map(|(party, _)| *party).find(|party| *party == name),
    }
}

fn nothing_in_files(play: &Play) {
    let mut looked = 0;
    for file in files_below(play.directory()) {
        let inside = file.strip_prefix(play.directory()).unwrap();
        // The image is public and the same whatever the data.
        if inside.extension().is_some_and(|extension| extension == "eif") {
            continue;
        }
        let bytes = fs::read(&file).unwrap();
        let found = has_secret_of_another(holder(inside), &bytes);
        assert!(found.is_none(), "{found:?} is in {}", inside.display());
        looked += 1;
    }
    assert!(looked > 50, "{looked}");
}

/// The search finds what is there to be found.
#[test]
fn the_search_finds_what_is_there() {
    let play = Play::copy();
    for (owner, table) in
        [("harbour", "reserves.csv"), ("north", "bids-north.csv"), ("south", "bids-south.csv")]
    {
        let bytes = play.read(table);
        assert_eq!(has_secret_of_another(Some(owner), &bytes), None);
        for (_, cents) in SECRETS.iter().filter(|secret| secret.0 == owner) {
            assert_eq!(count(&bytes, &forms(*cents)[0]), 1, "{table} {cents}");
        }
        assert!(has_secret_of_another(None, &bytes).is_some());
    }
}

#[test]
fn nothing_leaks_into_files_and_answers() {
    let play = Play::start();
    let done = play.run("again");
    assert_eq!(done.code, 0, "{done}");
    nothing_in_files(&play);
    let id = done.json()["id"].as_str().unwrap().to_owned();
    let listed =
        entente_e2e::finish(play.at_host(&["run", "status", &id, "--json"]), Duration::from_secs(20));
    for said in [&done, &listed] {
        assert_eq!(has_secret_of_another(None, format!("{said}").as_bytes()), None);
    }
    // What a party's own result holds is of the example's table, and of nobody's else.
    for (party, _) in PARTIES {
        for file in files_below(&play.path(&format!("{party}/result"))) {
            assert_eq!(
                has_secret_of_another(Some(party), &fs::read(&file).unwrap()),
                None,
                "{}",
                file.display()
            );
        }
    }
}

/// A core dump of host or key service would hold nothing: their memory does not, after a run.
#[test]
fn nothing_is_in_memory_of_host_and_key_services() {
    let play = Play::start();
    let done = play.run("again");
    assert_eq!(done.code, 0, "{done}");
    let mut processes = vec![play.host().id()];
    processes.extend(PARTIES.iter().map(|(party, _)| play.keys_id(party)));
    for process in processes {
        let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
        let Ok(mut memory) = fs::File::open(format!("/proc/{process}/mem")) else {
            println!("skipped: the memory of other processes may not be read here");
            return;
        };
        let mut looked = 0;
        for line in
            maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw")))
        {
            let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
            let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
            let length = usize::try_from(to - from).unwrap();
            if length > 256 << 20 || memory.seek(SeekFrom::Start(from)).is_err() {
                continue;
            }
            let mut bytes = vec![0; length];
            // A page that went away meanwhile ends the reading of its region.
            let Ok(()) = memory.read_exact(&mut bytes) else { continue };
            looked += length;
            for (_, cents) in SECRETS {
                // The text alone: in so many bytes small numbers are there by chance.
                assert_eq!(count(&bytes, &forms(cents)[0]), 0, "{cents} in process {process}");
            }
        }
        assert!(looked > 1 << 20, "{looked}");
    }
}

/// An enclave that is made to abort leaves no core file and no word.
#[test]
fn an_aborted_enclave_leaves_nothing() {
    // What is started from here may leave core files as large as it likes.
    let _ = setrlimit(Resource::Core, Rlimit { current: None, maximum: None });
    let play = Play::start();
    let mut hit = 0;
    for (index, kind) in
        [Signal::ABORT, Signal::SEGV, Signal::ABORT, Signal::SEGV, Signal::QUIT].into_iter().enumerate()
    {
        let mut command = play.run_command(&format!("aborted-{index}"));
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut started = command.spawn().unwrap();
        let end = Instant::now() + Duration::from_secs(5);
        let mut found = Vec::new();
        while found.is_empty() && Instant::now() < end {
            found = descendants(play.host().id())
                .into_iter()
                .filter(|(_, name)| name.starts_with("app"))
                .collect();
        }
        std::thread::sleep(Duration::from_millis(u64::try_from(index).unwrap() * 20));
        for (id, _) in found {
            signal(id, kind);
            hit += 1;
        }
        let end = Instant::now() + Duration::from_secs(60);
        while started.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    assert!(hit >= 3, "{hit}");
    for file in files_below(play.directory()) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name != "core" && !name.starts_with("core."), "{}", file.display());
    }
    nothing_in_files(&play);
}
