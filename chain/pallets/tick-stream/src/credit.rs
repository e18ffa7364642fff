//! Who earns what of an amount, and when it may be taken.

use crate::{types::PPM, Config, Credit, Credits, Pallet, Split};
use alloc::vec::Vec;
use frame_support::traits::Get;

/// Return `floor(amount * ppm / 10^6)` without overflow; `ppm` is at most 10^6.
pub fn share(amount: u128, ppm: u32) -> u128 {
	let (whole, ppm) = (u128::from(PPM), u128::from(ppm));
	amount / whole * ppm + amount % whole * ppm / whole
}

/// Split what one (session, price version) earned between the cumulative amounts `before` and `after`.
///
/// Returns what each split's account gets, in the table's order, and what is left for the creator. The
/// sum is `after - before` exactly. An account gets its share of `after` less its share of `before`, so
/// that it does not matter how the amount was cut into entries. Roundings of several splits that step
/// at once may together exceed a tiny amount (less than a planck each): then the first ones are served
/// and the later ones get what is left.
pub fn divide<AccountId>(splits: &[Split<AccountId>], before: u128, after: u128) -> (Vec<u128>, u128) {
	let mut left = after.saturating_sub(before);
	let parts = splits
		.iter()
		.map(|one| {
			let part = share(after, one.ppm)
				.saturating_sub(share(before, one.ppm))
				.min(left);
			left -= part;
			part
		})
		.collect();
	(parts, left)
}

impl Credit {
	/// Move the buckets on to notice period `period`; a period that has passed already changes nothing.
	pub fn roll(&mut self, period: u64) {
		if period <= self.period {
			return;
		}
		self.available = self.available.saturating_add(self.maturing);
		self.maturing = core::mem::take(&mut self.pending);
		if period - self.period > 1 {
			self.available = self.available.saturating_add(core::mem::take(&mut self.maturing));
		}
		self.period = period;
	}

	/// All that is owed: available, pending and maturing. Never above the currency's issuance.
	pub fn total(&self) -> u128 {
		self.available
			.saturating_add(self.pending)
			.saturating_add(self.maturing)
	}
}

impl<T: Config> Pallet<T> {
	/// The notice period that a second of chain time falls into.
	pub fn credit_period(now: u64) -> u64 {
		now / T::CreditNotice::get().max(1)
	}

	/// Add to what an account earned; 0 writes nothing.
	pub(crate) fn earn(who: &T::AccountId, amount: u128, now: u64) {
		if amount == 0 {
			return;
		}
		Credits::<T>::mutate(who, |credit| {
			credit.roll(Self::credit_period(now));
			// The pot holds it all, so it never exceeds the issuance.
			credit.pending = credit.pending.saturating_add(amount);
		});
	}
}
