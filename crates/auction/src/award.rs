//! Who gets a lot, and at what price.

use core::cmp::Reverse;
use std::collections::BTreeMap;

use crate::amount::Minor;

/// A valid bid, placed in its lot.
#[derive(Clone, Copy)]
pub(crate) struct Bid {
    /// Per unit.
    pub(crate) amount: Minor,
    /// At least 1, at most the lot's.
    pub(crate) units: u64,
    /// Number of the bidder.
    pub(crate) bidder: u32,
    /// Number of the row, over all datasets.
    pub(crate) row: u32,
}

impl Bid {
    /// What fills the array before bids are placed.
    pub(crate) const NONE: Self = Self { amount: 0, units: 0, bidder: u32::MAX, row: u32::MAX };
}

/// The rule that sets the price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pricing {
    /// The winner pays its own bid.
    First,
    /// The winner pays the second-highest bidder's bid or the reserve, whichever is more (Vickrey).
    Second,
    /// Winners of a lot of several units all pay the highest bid that lost or the reserve, whichever is more.
    Uniform,
}

/// What happens to a lot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Award {
    /// No valid bid reached the reserve.
    Unsold,
    /// Units by bidder, and the price of one.
    Sold { winners: BTreeMap<u32, u64>, price: Minor },
}

/// Awards a lot of `units` to `bids`, all of them valid; under `First` and `Second` of one unit and one bid a bidder.
///
/// `rank` orders bidders whose bids are equal, lowest first. The order of `bids` does not matter.
pub(crate) fn award(
    pricing: Pricing,
    units: u64,
    reserve: Minor,
    bids: &[Bid],
    rank: impl Fn(u32) -> [u8; 48],
) -> Award {
    match pricing {
        Pricing::First | Pricing::Second => single(pricing, reserve, bids, rank),
        Pricing::Uniform => uniform(units, reserve, bids, rank),
    }
}

fn single(pricing: Pricing, reserve: Minor, bids: &[Bid], rank: impl Fn(u32) -> [u8; 48]) -> Award {
    let mut best: Minor = -1;
    let mut second: Minor = -1;
    for bid in bids {
        if bid.amount > best {
            second = best;
            best = bid.amount;
        } else if bid.amount > second {
            second = bid.amount;
        }
    }
    if best < reserve || best < 0 {
        return Award::Unsold;
    }
    let mut equal = bids.iter().filter(|bid| bid.amount == best).map(|bid| bid.bidder);
    let winner = match (equal.next(), equal.next()) {
        (Some(winner), None) => winner,
        // Ranks are only computed where there is a tie.
        _ => match bids
            .iter()
            .filter(|bid| bid.amount == best)
            .map(|bid| bid.bidder)
            .min_by_key(|bidder| rank(*bidder))
        {
            Some(winner) => winner,
            None => return Award::Unsold,
        },
    };
    let price = match pricing {
        Pricing::First => best,
        Pricing::Second | Pricing::Uniform => second.max(reserve),
    };
    Award::Sold { winners: BTreeMap::from([(winner, 1)]), price }
}

fn uniform(units: u64, reserve: Minor, bids: &[Bid], rank: impl Fn(u32) -> [u8; 48]) -> Award {
    let mut live: Vec<Bid> = bids.iter().filter(|bid| bid.amount >= reserve).copied().collect();
    if live.is_empty() || units == 0 {
        return Award::Unsold;
    }
    // Every bid takes at least one unit, so the units go to the highest `units` bids at most: only those are sorted.
    let top = usize::try_from(units).unwrap_or(usize::MAX);
    if top < live.len() {
        live.select_nth_unstable_by_key(top - 1, |bid| Reverse(bid.amount));
        live[..top].sort_unstable_by_key(|bid| Reverse(bid.amount));
    } else {
        live.sort_unstable_by_key(|bid| Reverse(bid.amount));
    }
    // The margin: the amount at which the units run out. It is the same however equal bids are ordered.
    let mut taken: u64 = 0;
    let margin = live.iter().take(top).find_map(|bid| {
        taken = taken.saturating_add(bid.units);
        (taken >= units).then_some(bid.amount)
    });
    let mut winners = BTreeMap::new();
    let Some(margin) = margin else {
        // Fewer units are asked for than there are: all bids win, none lost, the reserve is the price.
        for bid in &live {
            *winners.entry(bid.bidder).or_insert(0) += bid.units;
        }
        return Award::Sold { winners, price: reserve.max(0) };
    };

    let mut left = units;
    for bid in live.iter().filter(|bid| bid.amount > margin) {
        *winners.entry(bid.bidder).or_insert(0) += bid.units;
        left = left.saturating_sub(bid.units);
    }
    // Equal bids at the margin: bidders in order of their ranks, each filled as far as the units go.
    let mut equal: BTreeMap<u32, u64> = BTreeMap::new();
    for bid in live.iter().filter(|bid| bid.amount == margin) {
        let wanted = equal.entry(bid.bidder).or_insert(0);
        *wanted = wanted.saturating_add(bid.units);
    }
    let wanted = equal.values().fold(0_u64, |sum, units| sum.saturating_add(*units));
    let price = if wanted > left {
        // Units were asked for at the margin and not given: this is the highest bid that lost.
        margin
    } else {
        live.iter().map(|bid| bid.amount).filter(|amount| *amount < margin).max().unwrap_or(0).max(reserve)
    };
    let mut order: Vec<(u32, u64)> = equal.into_iter().collect();
    if wanted > left && order.len() > 1 {
        order.sort_by_cached_key(|(bidder, _)| rank(*bidder));
    }
    for (bidder, wanted) in order {
        let given = wanted.min(left);
        if given > 0 {
            *winners.entry(bidder).or_insert(0) += given;
            left -= given;
        }
    }
    Award::Sold { winners, price }
}
