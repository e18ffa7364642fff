//! A second `settle`, of plain maps, written from the rules and not from the pallet: it says of every
//! entry what becomes of it, and what everyone has after it.

use super::*;
use crate::{Config, Credits, Escrows, Sessions, StreamInfo};
use frame_support::traits::Get;
use std::collections::BTreeMap;

type Map<K, V> = BTreeMap<K, V>;

/// A join: caps, begin, end, ticks at each version in the order they came, planck spent.
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
	pub spend: u128,
	pub price: u128,
	pub begin: u64,
	pub end: u64,
	pub ticks: Vec<(u32, u64)>,
	pub spent: u128,
}

/// A stream: whose, price and first second by number, splits, ticks and planck settled.
#[derive(Clone, Debug, PartialEq)]
pub struct Show {
	pub creator: u64,
	pub operator: u64,
	pub prices: Map<u32, (u128, u64)>,
	pub splits: Vec<(u64, u32)>,
	pub ticks: u64,
	pub earned: u128,
}

/// What the chain holds of one operator's business.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
	pub now: u64,
	pub operator: u64,
	pub streams: Map<u128, Show>,
	pub joins: Map<(u128, u64, u32), Join>,
	pub escrows: Map<u64, u128>,
	pub credits: Map<u64, u128>,
}

impl Model {
	/// Read the chain.
	pub fn read(operator: u64) -> Self {
		let streams = StreamInfo::<Test>::iter().map(|(id, one)| {
			let show = Show {
				creator: one.creator,
				operator: one.operator,
				prices: one
					.prices
					.iter()
					.map(|price| (price.number, (price.price, price.from)))
					.collect(),
				splits: one
					.splits
					.iter()
					.map(|split| (split.account, split.ppm))
					.collect(),
				ticks: one.total_ticks,
				earned: one.total_amount,
			};
			(id, show)
		});
		let joins = Sessions::<Test>::iter().map(|(key, one)| {
			let closed = StreamInfo::<Test>::get(key.0).and_then(|stream| stream.closed_at);
			let ends = [Some(one.expires_at), one.ended_at, closed];
			let end = ends.into_iter().flatten().min().unwrap();
			let (ticks, spent) = (one.by_price.to_vec(), one.amount);
			(
				key,
				Join {
					spend: one.max_spend,
					price: one.max_price,
					begin: one.joined_at,
					end,
					ticks,
					spent,
				},
			)
		});
		let escrows = Escrows::<Test>::iter_prefix(operator).map(|(viewer, one)| (viewer, one.held));
		Model {
			now: TickStream::now(),
			operator,
			streams: streams.collect(),
			joins: joins.collect(),
			escrows: escrows.filter(|one| one.1 > 0).collect(),
			credits: Credits::<Test>::iter()
				.map(|(who, one)| (who, one.total()))
				.filter(|one| one.1 > 0)
				.collect(),
		}
	}

	/// Settle one entry here and say what the pallet must say.
	pub fn settle(&mut self, entry: &Entry<u64>) -> Result<(u64, u128), Refusal> {
		let stream = self.streams.get_mut(&entry.stream).ok_or(Refusal::NoStream)?;
		if stream.operator != self.operator {
			return Err(Refusal::NotOperator);
		}
		let join = self
			.joins
			.get_mut(&(entry.stream, entry.viewer, entry.join))
			.ok_or(Refusal::NoSession)?;
		let known = join
			.ticks
			.iter()
			.find(|one| one.0 == entry.version)
			.map(|one| one.1);
		let new = entry.ticks.saturating_sub(known.unwrap_or(0));
		if new == 0 {
			return Ok((0, 0));
		}
		let (price, from) = *stream.prices.get(&entry.version).ok_or(Refusal::NoPrice)?;
		let used: u128 = join.ticks.iter().map(|one| u128::from(one.1)).sum();
		// In 10^-6 ticks, so that nothing is rounded before it is compared.
		let lived = u128::from(self.now.min(join.end).saturating_sub(join.begin));
		let allowed = (u128::from(BURST) * 1_000_000 + lived * u128::from(RATE_PPM)) / 1_000_000;
		let versions: u32 = <Test as Config>::MaxSessionPrices::get();
		let full = join.ticks.len() as u32 == versions;
		let cost = price.checked_mul(new.into());
		let spent = cost.and_then(|cost| cost.checked_add(join.spent));
		let escrow = self.escrows.get(&entry.viewer).copied().unwrap_or(0);
		let ticks = stream.ticks.checked_add(new);
		let earned = cost.and_then(|cost| cost.checked_add(stream.earned));
		let checks = [
			(from > self.now, Refusal::PriceNotYet),
			(price > join.price, Refusal::PriceAboveCap),
			(known.is_none() && full, Refusal::TooManyPrices),
			(self.now > join.end + NOTICE, Refusal::Ended),
			(used + u128::from(new) > u64::MAX.into(), Refusal::Overflow),
			(used + u128::from(new) > allowed, Refusal::TooFast),
			(spent.is_none(), Refusal::Overflow),
			(spent > Some(join.spend), Refusal::SpendCap),
			(ticks.is_none() || earned.is_none(), Refusal::Overflow),
			(cost > Some(escrow), Refusal::Escrow),
		];
		if let Some((_, reason)) = checks.into_iter().find(|one| one.0) {
			return Err(reason);
		}
		let cost = cost.unwrap();
		(stream.ticks, stream.earned) = (ticks.unwrap(), earned.unwrap());
		join.spent = spent.unwrap();
		match join.ticks.iter_mut().find(|one| one.0 == entry.version) {
			Some(one) => one.1 = entry.ticks,
			None => join.ticks.push((entry.version, entry.ticks)),
		}
		if escrow == cost {
			self.escrows.remove(&entry.viewer);
		} else {
			self.escrows.insert(entry.viewer, escrow - cost);
		}
		// Shares of all that this version earned, less those of what it had; the creator has the rest.
		let (after, before) = (
			price * u128::from(entry.ticks),
			price * u128::from(entry.ticks - new),
		);
		let mut rest = cost;
		let mut parts = Vec::new();
		for (who, ppm) in &stream.splits {
			let ppm = u128::from(*ppm);
			let part = (after * ppm / 1_000_000 - before * ppm / 1_000_000).min(rest);
			rest -= part;
			parts.push((*who, part));
		}
		parts.push((stream.creator, rest));
		for (who, part) in parts.into_iter().filter(|one| one.1 > 0) {
			*self.credits.entry(who).or_default() += part;
		}
		Ok((new, cost))
	}
}

/// Send `operator`'s next batch and compare all that came of it with the model. Returns the reasons of
/// refused entries.
pub fn settle_as_modelled(operator: u64, entries: &[Entry<u64>]) -> Vec<Refusal> {
	let mut model = Model::read(operator);
	let mut refused = Vec::new();
	let (mut ticks, mut amount) = (0, 0);
	for (index, entry) in entries.iter().enumerate() {
		match model.settle(entry) {
			Ok((more, cost)) => (ticks, amount) = (ticks + more, amount + cost),
			Err(reason) => refused.push((index as u32, reason)),
		}
	}
	let pot = Balances::free_balance(TickStream::pot());
	let seq = crate::Operators::<Test>::get(operator)
		.expect("registered")
		.last_seq
		+ 1;
	assert_ok!(send(operator, seq, entries));
	let outcome = Outcomes::<Test>::get(operator, seq).expect("a batch leaves an outcome");
	assert_eq!(outcome.refused.to_vec(), refused, "{entries:#?}");
	assert_eq!(
		(outcome.ticks, outcome.amount, outcome.entries),
		(ticks, amount, entries.len() as u32)
	);
	assert_eq!(Balances::free_balance(TickStream::pot()), pot + amount);
	assert_eq!(Model::read(operator), model);
	refused.into_iter().map(|one| one.1).collect()
}

#[test]
fn the_model_and_the_pallet_agree_on_a_batch_of_everything() {
	act(|| {
		with_viewer(&[(PAYEE, 333_333), (PAYEE + 1, 333_333)]);
		let batch = [
			entry(VIEWER, 1, 1, 3),
			entry(VIEWER, 1, 1, 2),
			entry(VIEWER, 1, 2, 2),
			entry(VIEWER, 2, 1, 2),
			entry(VIEWER, 1, 1, 119),
			entry(VIEWER, 1, 1, 121),
		];
		let refused = settle_as_modelled(OPERATOR, &batch);
		assert_eq!(refused, [Refusal::NoPrice, Refusal::NoSession, Refusal::TooFast]);
	});
}
