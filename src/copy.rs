//! Copies of few bytes.

/// Copies bytes to a place of the same length. Nearly all have up to 32; of those the first and the last half
/// are copied, which overlap: 11 bytes are 0 to 8 and 3 to 11. That is cheaper than a call that asks for the
/// length first.
#[cfg_attr(for_size, optimize(speed))]
#[inline]
pub(crate) fn copy_short(to: &mut [u8], from: &[u8]) {
    fn both<const N: usize>(to: &mut [u8], from: &[u8]) -> bool {
        let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) else {
            return false;
        };
        if from.len() > 2 * N {
            return false;
        }
        if let Some(place) = to.first_chunk_mut() {
            *place = *first;
        }
        if let Some(place) = to.last_chunk_mut() {
            *place = *last;
        }
        true
    }
    if let ([to], [from]) = (&mut *to, from) {
        *to = *from;
    } else if !(both::<8>(to, from) || both::<4>(to, from) || both::<2>(to, from) || both::<16>(to, from)) {
        to.copy_from_slice(from);
    }
}
