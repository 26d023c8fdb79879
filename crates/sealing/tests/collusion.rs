//! A colluder that reseals until a tie would go its way (PROTOCOL §6).
#![expect(clippy::unwrap_used, reason = "tests")]

use entente_agreement::{Name, SealingId};
use entente_attestation::Digest384;
use entente_sealing::{Binding, DatasetKey, RunSeed, SealingKeys};

const RESEALINGS: u32 = 10_000;

fn sealed(key: &DatasetKey, dataset: &str, sealing: u32) -> SealingKeys {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&sealing.to_be_bytes());
    let agreement = Digest384::of(b"agreement");
    let dataset = dataset.parse::<Name>().unwrap();
    SealingKeys::derive(key, &Binding { agreement, dataset, sealing: SealingId::from_bytes(id) })
}

/// Whether bob wins the tie on a lot, with these two sealings in the input set `number`.
fn bob_wins(ada: &SealingKeys, bob: &SealingKeys, number: u32) -> bool {
    let inputs = Digest384::of(&number.to_be_bytes());
    let tie = RunSeed::new([ada.contribution(), bob.contribution()], &inputs, None).tie_key();
    tie.rank("pier-house", "bob") < tie.rank("pier-house", "ada")
}

/// Bob reseals ten thousand times against one honest key that he does not know, and then signs the sealing that would have won
/// against a key that he guessed: the best he can do, since everything else is public.
#[test]
fn resealing_ten_thousand_times_wins_no_more_ties_than_chance() {
    let honest = sealed(&DatasetKey::generate().unwrap(), "bids-ada", 0);
    let guessed = sealed(&DatasetKey::generate().unwrap(), "bids-ada", 0);
    let mut wins = 0_u32;
    let mut chosen = 0_u32;
    let mut chosen_wins = 0_u32;
    for number in 0..RESEALINGS {
        let bob = sealed(&DatasetKey::generate().unwrap(), "bids-bob", number);
        let won = bob_wins(&honest, &bob, number);
        wins += u32::from(won);
        if bob_wins(&guessed, &bob, number) {
            chosen += 1;
            chosen_wins += u32::from(won);
        }
    }
    // Five standard deviations around one half: sqrt(n)/2 each; a fair draw is outside once in two million.
    let within = |won: u32, of: u32| {
        let (won, of) = (f64::from(won), f64::from(of));
        (won - of / 2.0).abs() < 2.5 * of.sqrt()
    };
    assert!(within(wins, RESEALINGS), "{wins} of {RESEALINGS}");
    assert!(within(chosen_wins, chosen), "{chosen_wins} of {chosen}");
}

/// The draw is one of the input set and the keys, not of anything that the host chooses.
#[test]
fn a_rerun_draws_the_same_tie() {
    let ada = sealed(&DatasetKey::generate().unwrap(), "bids-ada", 0);
    let bob = sealed(&DatasetKey::generate().unwrap(), "bids-bob", 0);
    assert_eq!(bob_wins(&ada, &bob, 7), bob_wins(&ada, &bob, 7));
}
