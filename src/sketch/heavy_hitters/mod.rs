//! The heaviest keys of a stream, in fixed memory and with a bound on every error.
//!
//! A key belongs to the bucket that its hash names, and the bucket's few entries are all that has to be
//! looked at. A key without an entry is counted in a cell, which many keys share:
//!
//! ```text
//! hot      | 8 hashes | 8 values |                 two cache lines, all that a known key touches
//! least    | a weight that no entry is below |     what most unknown keys lose against, without a look at the entries
//! cold     | 8 x inherited, unseen | 8 lengths |   when an entry changes hands
//! names   | the 8 names, one after the other |
//! cells    | what was counted of keys while they had no entry, by another part of the hash |
//! marks    | eight bits of the hash of the last key that came to each, by yet another part |
//! ```
//!
//! Who gets an entry that another must make room for is decided in three steps. A key that left no mark when
//! it came before, or whose mark was covered since by those of others, gets none (a doorkeeper, as that of
//! TinyLFU: Einziger and others, 2017). So 255 in 256 keys that come once change nothing, however many there
//! are. While the cell proves the key lighter than the lightest entry of the bucket, it gets none (Filtered
//! Space-Saving: Homem and Carvalho, 2010). Else chance decides: it takes the place of an entry of value `v`
//! once in `v + 1` times, and goes on from `v` (Randomized Admission Policy: Ben Basat and others, 2017). So
//! a key that comes `v` times is expected to get in.
//!
//! # What it promises
//!
//! Let `certain` be what was counted while the key had its entry, `inherited` what it took over, and `unseen`
//! what its cell said when it got in. Then
//!
//! * `certain <= true count <= certain + unseen`. The number shown is `certain + inherited`, kept within that
//!   ([`HeavyHitter`]).
//! * The true count of a key without an entry is at most its cell ([`HeavyHitters::bound`]).
//! * While every bucket has room, `unseen` is 0: few keys are counted exactly.
//! * The work for a key is bounded by the size of one bucket, whatever the traffic.
//!
//! Keys are told apart by 64 bits of a seeded hash alone: with ten million names the chance that an entry
//! counts a name for another is one in 10^12.
//!
//! Names have up to 255 bytes and a bucket has room for [`NAME_BYTES`] an entry, so a long name must win
//! against all the entries it needs the room of.
//!
//! Numbers age by halves ([`HeavyHitters::age`]). The bounds hold for the aged counts: each is rounded
//! outwards.
//!
//! # How good it is
//!
//! Against an exact count over 400,000 messages with 100,000 names, for 20 seeds each (`cargo test --release
//! --test tables` makes this table and holds it): how many of the true first 50 are among the first 50 rows,
//! on average and in the worst case, and the largest error of a number among these, on average. A table of
//! 256 entries, the default, finds them even when every second name comes but once. Where nine in ten do, it
//! takes 512.
//!
//! | stream | entries | bytes | recall | at worst | error |
//! |---|---|---|---|---|---|
//! | Zipf 0.8 | 64 | 5384 | 0.840 | 0.76 | 69.9 % |
//! | Zipf 0.8 | 128 | 10632 | 0.967 | 0.92 | 8.5 % |
//! | Zipf 0.8 | 256 | 21128 | 0.992 | 0.96 | 2.9 % |
//! | Zipf 0.8 | 512 | 42120 | 0.996 | 0.98 | 1.0 % |
//! | Zipf 0.8 | 1024 | 84104 | 0.998 | 0.98 | 0.9 % |
//! | Zipf 1.0 | 64 | 5384 | 0.853 | 0.78 | 219.8 % |
//! | Zipf 1.0 | 128 | 10632 | 0.979 | 0.94 | 16.7 % |
//! | Zipf 1.0 | 256 | 21128 | 0.998 | 0.98 | 1.7 % |
//! | Zipf 1.0 | 512 | 42120 | 0.999 | 0.98 | 0.4 % |
//! | Zipf 1.0 | 1024 | 84104 | 0.999 | 0.98 | 0.1 % |
//! | Zipf 1.2 | 64 | 5384 | 0.873 | 0.82 | 250.9 % |
//! | Zipf 1.2 | 128 | 10632 | 0.990 | 0.96 | 1.7 % |
//! | Zipf 1.2 | 256 | 21128 | 1.000 | 1.00 | 0.2 % |
//! | Zipf 1.2 | 512 | 42120 | 1.000 | 1.00 | 0.1 % |
//! | Zipf 1.2 | 1024 | 84104 | 1.000 | 1.00 | 0.0 % |
//! | half random names | 64 | 5384 | 0.856 | 0.80 | 3130.2 % |
//! | half random names | 128 | 10632 | 0.976 | 0.94 | 58.3 % |
//! | half random names | 256 | 21128 | 0.997 | 0.98 | 2.0 % |
//! | half random names | 512 | 42120 | 0.998 | 0.98 | 1.2 % |
//! | half random names | 1024 | 84104 | 0.999 | 0.98 | 0.9 % |
//! | half attack on one domain | 64 | 5384 | 0.858 | 0.76 | 1069.6 % |
//! | half attack on one domain | 128 | 10632 | 0.981 | 0.94 | 6.1 % |
//! | half attack on one domain | 256 | 21128 | 0.995 | 0.96 | 2.5 % |
//! | half attack on one domain | 512 | 42120 | 0.999 | 0.98 | 1.2 % |
//! | half attack on one domain | 1024 | 84104 | 1.000 | 1.00 | 0.7 % |
//! | nine tenths attack on one domain | 64 | 5384 | 0.777 | 0.74 | 3376.9 % |
//! | nine tenths attack on one domain | 128 | 10632 | 0.909 | 0.84 | 518.6 % |
//! | nine tenths attack on one domain | 256 | 21128 | 0.964 | 0.92 | 18.2 % |
//! | nine tenths attack on one domain | 512 | 42120 | 0.985 | 0.94 | 14.3 % |
//! | nine tenths attack on one domain | 1024 | 84104 | 0.990 | 0.96 | 8.6 % |

mod admission;
mod bucket;
mod table;

pub(crate) use bucket::ADDRESS_BYTES;
pub use bucket::NAME_BYTES;
pub use table::{HeavyHitter, HeavyHitters};
