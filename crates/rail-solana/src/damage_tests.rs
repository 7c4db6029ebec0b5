//! Damage of every kind: nothing of it passes, and nothing panics.

use proptest::prelude::*;

use crate::readers;
use crate::samples::{Offer, bytes, good, judge, lighthouse, limit, memo, pay, price};

proptest! {
    #[test]
    fn any_changed_byte_of_message_or_signature_is_refused(at in 65_usize..400, bit in 0_u8..8) {
        let mut damaged = bytes(&good());
        let at = at.min(damaged.len() - 1);
        damaged[at] ^= 1 << bit;
        prop_assert!(judge(&damaged, &Offer::default()).is_err());
    }

    #[test]
    fn what_is_cut_short_or_added_to_is_refused(cut in 0_usize..400, tail in proptest::collection::vec(any::<u8>(), 1..40)) {
        let good = bytes(&good());
        let cut = cut.min(good.len() - 1);
        prop_assert!(judge(&good[..cut], &Offer::default()).is_err());
        prop_assert!(judge(&[good, tail].concat(), &Offer::default()).is_err());
    }

    #[test]
    fn strangers_bytes_never_pass_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1_300)) {
        readers::transaction(&bytes);
        prop_assert!(judge(&bytes, &Offer::default()).is_err());
    }

    #[test]
    fn whatever_can_be_read_is_spelled_one_way_and_spares_the_fee_payer(
        mut bytes in Just(bytes(&good())),
        changes in proptest::collection::vec((0_usize..400, any::<u8>()), 0..6),
    ) {
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        readers::transaction(&bytes);
    }

    #[test]
    fn any_order_or_choice_of_instructions_but_the_right_one_is_refused(places in proptest::collection::vec(0_usize..5, 0..8)) {
        let stock = [limit(1), price(1), pay(), memo("m"), lighthouse()];
        let instructions: Vec<_> = places.iter().map(|place| stock[*place].clone()).collect();
        let is_right = places.len() <= 7
            && places.starts_with(&[0, 1, 2])
            && places[3..].iter().all(|place| *place > 2);
        prop_assert_eq!(judge(&bytes(&instructions), &Offer::default()).is_ok(), is_right);
    }
}
