//! Expected derivations; `tests/vectors/derive.py` prints this file.

pub(crate) const COMMITMENT: &str =
    "80de288ab3dfc15e93ba43af05eab5f5a12fa1973221966f863feae4f38218ec59752bb052c8be88802a4f7df4bd3846";
pub(crate) const PARQUET: &str = "d47c03836e75d1ac260c49e2276ef746381cc76051bbe99b90825332951b771c";
pub(crate) const AGE: &str = "b6f779278b2f88b7b4521a55068446f4948e3040189b1ffcccf9a3b50125da37";
pub(crate) const CONTRIBUTION: &str =
    "937ca0e5ae3de7fd687c4827fc8f591eb2ef4f339af372ddb7ffd7566fa9680d8b8379f0e9b31d85835a1e1ca753f089";
pub(crate) const TIE: &str =
    "865d740c4d8819092b1ab725c6279d642239466340bc7a1775827ff5c1a9c992c1cc78ce6a172e7206c5409060856369";
pub(crate) const TIE_WITH_REQUEST: &str =
    "b9baeda923828f05496fcdfd1f604ee15a01c851f789bc8bd761e97c6bcb0ca4e84675c4a0e90454e70d403781b57a0e";
pub(crate) const NOISE: &str = "51e371d681328495109fee6e90c86b6a6f0e905eca9ba407a9bfd48f75084e3a031743994a3cf3786da9addc18a384b5a0dd15972e7cefa745558f8b34c35785bf3a633601404a490e684e74c727d92a518fb5ce84f61d55be9bf44834e75c6f28959570";
pub(crate) const RANK: &str =
    "a09047271da472a92732a755c9739307c308b8ec89ae24af3a55fd5cf40bd60eeb3da06a870485c419b7e3240f9d7880";
