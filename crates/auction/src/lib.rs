//! Sealed-bid auctions
