//! Lives that end with results.

use entente_sealing::result::{ResultArchive, Verdict};

use crate::life;
use crate::module::Module;
use crate::relay::{Relay, Seen};
use crate::world::{Content, World};

/// The files of one recipient's result.
pub(crate) fn open(world: &World, seen: &Seen, recipient: &str) -> Vec<(String, String)> {
    let sealed = seen.files.get(&format!("tally.{recipient}.age")).unwrap();
    let archive = world.party(recipient).result.open(sealed, 1 << 20).unwrap();
    let contents = ResultArchive::parse(&archive).unwrap();
    assert_eq!(contents.binding.verdict, Verdict::Released);
    assert_eq!(contents.binding.inputs, world.set.digest());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    contents.files.iter().map(|file| (file.name().to_owned(), text(file.bytes()))).collect()
}

#[test]
fn everybody_gets_a_result_and_the_host_learns_nothing() {
    let world = World::new();
    let life = life(Module::honest(&world), Relay::honest(&world));
    assert_eq!(life.end, Ok(()));
    let size = life.seen.files.get("tally.north.age").unwrap().len();
    assert_eq!(
        life.seen.questions,
        [
            "documents".to_owned(),
            "key bids-north".to_owned(),
            "key bids-south".to_owned(),
            "key note".to_owned(),
            "digests bids-north".to_owned(),
            "chunk bids-north 0".to_owned(),
            "digests bids-south".to_owned(),
            "chunk bids-south 0".to_owned(),
            "digests note".to_owned(),
            "chunk note 0".to_owned(),
            "chunk note 1".to_owned(),
            "chunk note 2".to_owned(),
            format!("deliver tally.north.age {size}"),
            format!("piece {size}"),
            format!("deliver tally.harbour.age {size}"),
            format!("piece {size}"),
            "receipt".to_owned(),
            "finished".to_owned(),
        ]
    );
    let files = open(&world, &life.seen, "harbour");
    let (name, tally) = files.first().unwrap();
    assert_eq!(name, "tally.csv");
    assert_eq!(tally, "dataset,state,size\nbids-north,table,3\nbids-south,table,3\nnote,blob,2560000\n");
}
