//! An auction in sentences, for people who are about to sign.

use entente_agreement::Name;

use crate::{
    award::Pricing,
    terms::{Participation, References, Reserves, Terms, WinnerRule},
};

pub(crate) fn of(terms: &Terms) -> Vec<String> {
    let seller = &terms.seller;
    let bidders: Vec<&str> = terms.bidders().into_iter().map(Name::as_str).collect();
    let lots = match terms.lots.as_slice() {
        [lot] => format!("the lot {}", lot.id),
        lots => format!("{} lots", lots.len()),
    };
    let mut sentences =
        vec![format!("{seller} sells {lots} by sealed bids; {} may bid.", bidders.join(", "))];
    sentences.push(
        match terms.pricing {
            Pricing::First => "Each lot goes to the highest bid, at that price.",
            Pricing::Second => "Each lot goes to the highest bid, at the highest price that another bidder offered, or the reserve if that is more.",
            Pricing::Uniform => "The units of a lot go to the highest bids, all at the highest price that went without, or the reserve if that is more.",
        }
        .into(),
    );
    sentences.push(match &terms.reserves {
        Reserves::None if terms.pricing == Pricing::First => "There is no reserve: the highest bid takes a lot, however low.".into(),
        Reserves::None => "There is no reserve: a bidder without a rival takes a lot for nothing.".into(),
        Reserves::Public => "Every lot has a reserve, which is in this agreement for everybody to read.".into(),
        Reserves::Secret { dataset } => format!(
            "Every lot has a secret reserve in the dataset {dataset}; a lot without one there is withdrawn, and only {seller} learns it."
        ),
    });
    let winner = match terms.winner {
        WinnerRule::Named => "who won it",
        WinnerRule::PriceOnly => "not who won it",
    };
    let count = match terms.participation {
        Participation::Hidden => "not how many bid",
        Participation::Counted => "how many had a valid bid",
    };
    sentences
        .push(format!("{seller} learns of each lot whether it was sold, at what price, {winner}, {count}."));
    sentences.push("Each bidder learns which lots it won and at what price, which it lost, and which of its own bids were void.".into());
    match terms.pricing {
        Pricing::First => sentences.push("Nobody learns the amount of a bid that lost.".into()),
        Pricing::Second => sentences.push(format!(
            "The price of a lot is the amount of the second-highest bid: {seller} and the winner learn that amount, not whose it is. Nobody learns anything of other bids that lost."
        )),
        Pricing::Uniform => sentences.push(format!(
            "The price of a lot is the amount of the highest bid that lost: {seller} and the winners learn that amount, not whose it is. Nobody learns anything of other bids that lost."
        )),
    }
    for slot in terms.bids.iter().filter(|slot| slot.references == References::Column) {
        let learns = match terms.winner {
            WinnerRule::Named => format!(" If one wins, {seller} learns its reference."),
            WinnerRule::PriceOnly => String::new(),
        };
        sentences.push(format!(
            "{} bids for clients of its own, told apart by a reference of its choice in the dataset {}.{learns}",
            slot.owner, slot.dataset
        ));
    }
    sentences.push("Ties are broken by a number that all owners' secret keys make together; it stands in every result, so that everybody can recompute them.".into());
    sentences
}
