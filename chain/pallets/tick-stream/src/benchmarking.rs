//! Benchmarks: every call at its worst, `settle` in three shapes.
//!
//! `settle` is a batch at its worst, `settle_same_stream` one of a single stream, `settle_refused` one
//! that settles nothing. From these `Pallet::settle_weight` makes the weight of any batch.

use super::*;
use alloc::{vec, vec::Vec};
use codec::Encode;
use frame_benchmarking::v2::*;
use frame_support::{
	traits::{
		fungible::{Inspect, Mutate, MutateHold},
		EnsureOrigin, Get,
	},
	BoundedVec,
};
use frame_system::RawOrigin;
use sp_core::H256;
use sp_io::hashing::blake2_256;

/// Chain second at which benchmarks begin.
const NOW: u64 = 1_800_000_000;
const STREAM: u128 = u128::MAX / 3;
const PRICE: u128 = 1_000_003;
/// Ticks of an entry; within the burst, and not a round amount, so that every split gets something.
const TICKS: u64 = 7;

fn rich<T: Config>(who: &T::AccountId) {
	let unit = T::Currency::minimum_balance().max(PRICE);
	T::Currency::set_balance(who, unit.saturating_mul(1_000_000_000));
}

fn someone<T: Config>(name: &'static str, index: u32) -> T::AccountId {
	let who = account(name, index, 0);
	rich::<T>(&who);
	who
}

/// Set the clock, give the pot its existential deposit and register an operator.
fn operator<T: Config>() -> Result<T::AccountId, BenchmarkError> {
	T::BenchmarkHelper::set_time(NOW);
	rich::<T>(&Pallet::<T>::pot());
	let who = someone::<T>("operator", 0);
	T::Currency::set_balance(&who, T::OperatorBond::get().saturating_add(PRICE * 1_000_000_000));
	Pallet::<T>::register_operator(RawOrigin::Signed(who.clone()).into())?;
	Ok(who)
}

/// Make a stream as large as one can be, all its prices in force.
fn stream<T: Config>(id: u128, creator: &T::AccountId, operator: &T::AccountId, payees: u32) {
	let count = T::MaxPriceVersions::get();
	let prices: Vec<_> = (1..=count)
		.map(|number| PriceVersion {
			number,
			price: PRICE,
			from: NOW - u64::from(count - number),
		})
		.collect();
	let ppm = PPM / (T::MaxSplits::get() + 1);
	let splits: Vec<_> = (0..T::MaxSplits::get())
		.map(|at| {
			let account: T::AccountId = account("payee", payees + at, 0);
			Credits::<T>::insert(
				&account,
				Credit {
					available: 1,
					pending: 1,
					maturing: 1,
					period: 0,
				},
			);
			Split { account, ppm }
		})
		.collect();
	Credits::<T>::insert(
		creator,
		Credit {
			available: 1,
			pending: 1,
			maturing: 1,
			period: 0,
		},
	);
	let info = Stream {
		creator: creator.clone(),
		operator: operator.clone(),
		title: BoundedVec::truncate_from(vec![b't'; T::MaxTitleLen::get() as usize]),
		prices: BoundedVec::truncate_from(prices),
		splits: BoundedVec::truncate_from(splits),
		status: Status::Open,
		closed_at: None,
		created_at: NOW,
		total_ticks: 1,
		total_amount: 1,
		viewers: 1,
	};
	StreamInfo::<T>::insert(id, info);
	TickCount::<T>::insert(id, 1);
}

/// Join a viewer whose session has ticks at as many versions as leave room for one more.
fn session<T: Config>(stream: u128, viewer: &T::AccountId) {
	let versions = T::MaxSessionPrices::get() - 1;
	let by_price: Vec<_> = (0..versions).map(|at| (u32::MAX - at, 1)).collect();
	let session = Session {
		max_spend: u128::MAX,
		max_price: u128::MAX,
		joined_at: NOW,
		expires_at: NOW + T::MaxJoinDuration::get(),
		ended_at: None,
		ticks: versions.into(),
		amount: 0,
		by_price: BoundedVec::truncate_from(by_price),
	};
	Sessions::<T>::insert((stream, viewer, 1), session);
	LastJoin::<T>::insert(stream, viewer, 1);
}

fn escrow<T: Config>(operator: &T::AccountId, viewer: &T::AccountId) -> Result<(), BenchmarkError> {
	let held = PRICE * 1_000;
	T::Currency::hold(&HoldReason::TickEscrow.into(), viewer, held)?;
	let withdrawal = Some(Withdrawal {
		amount: 1,
		ready_at: NOW,
	});
	Escrows::<T>::insert(operator, viewer, Escrow { held, withdrawal });
	Ok(())
}

/// What a batch takes the place of: a full outcome at the other end of the ring.
fn old_outcome<T: Config>(operator: &T::AccountId) -> u64 {
	let last = u64::from(T::OutcomesKept::get());
	Operators::<T>::mutate(operator, |one| {
		if let Some(one) = one {
			one.last_seq = last;
		}
	});
	let all: Vec<_> = (0..T::MaxEntries::get())
		.map(|index| (index, Refusal::Escrow))
		.collect();
	let refused = BoundedVec::truncate_from(all);
	let outcome = Outcome {
		hash: H256::zero(),
		entries: 0,
		ticks: 0,
		amount: 0,
		block: 0,
		refused,
	};
	Outcomes::<T>::insert(operator, 1, outcome);
	last + 1
}

type Entries<T> = BoundedVec<Entry<<T as frame_system::Config>::AccountId>, <T as Config>::MaxEntries>;

/// A batch of `n` entries of other viewers: each of a stream of its own, or all of one.
fn batch<T: Config>(
	operator: &T::AccountId,
	n: u32,
	apart: bool,
	paid: bool,
) -> Result<(Entries<T>, H256), BenchmarkError> {
	let mut entries = Vec::new();
	for at in 0..n {
		let id = if apart { STREAM + u128::from(at) } else { STREAM };
		if apart || at == 0 {
			let creator = someone::<T>("creator", at);
			stream::<T>(id, &creator, operator, at * T::MaxSplits::get());
		}
		let viewer = someone::<T>("viewer", at);
		session::<T>(id, &viewer);
		if paid {
			escrow::<T>(operator, &viewer)?;
		}
		let version = at % T::MaxPriceVersions::get() + 1;
		entries.push(Entry {
			stream: id,
			viewer,
			join: 1,
			version,
			ticks: TICKS,
		});
	}
	let entries: Entries<T> = entries
		.try_into()
		.map_err(|_| BenchmarkError::Stop("too many entries"))?;
	let hash = H256(entries.using_encoded(blake2_256));
	Ok((entries, hash))
}

/// Check what a batch came to.
fn check<T: Config>(operator: &T::AccountId, seq: u64, settled: u32, refused: u32) {
	let outcome = Outcomes::<T>::get(operator, seq).expect("a batch leaves an outcome");
	assert_eq!(outcome.ticks, u64::from(settled) * TICKS);
	assert_eq!(outcome.amount, u128::from(settled) * u128::from(TICKS) * PRICE);
	assert_eq!(outcome.refused.len() as u32, refused);
	assert!(!Outcomes::<T>::contains_key(operator, 1));
}

fn whole_title<T: Config>() -> BoundedVec<u8, T::MaxTitleLen> {
	BoundedVec::truncate_from(vec![b't'; T::MaxTitleLen::get() as usize])
}

#[benchmarks]
mod benches {
	use super::*;

	#[benchmark]
	fn record_tick() -> Result<(), BenchmarkError> {
		let who = operator::<T>()?;
		let creator = someone::<T>("creator", 0);
		stream::<T>(STREAM, &creator, &who, 0);
		let full = vec![(creator.clone(), 1); T::MaxTicksPerBatch::get() as usize];
		BatchedTicks::<T>::insert(STREAM, BoundedVec::truncate_from(full));
		#[extrinsic_call]
		_(RawOrigin::Signed(who), STREAM, creator, 3);
		assert_eq!(TickCount::<T>::get(STREAM), 4);
		Ok(())
	}

	#[benchmark]
	fn join_stream() -> Result<(), BenchmarkError> {
		let who = operator::<T>()?;
		let viewer = someone::<T>("viewer", 0);
		stream::<T>(STREAM, &who, &who, 0);
		session::<T>(STREAM, &viewer);
		Limits::<T>::insert(
			&viewer,
			Limit {
				max_spend: 1,
				max_price: 1,
				duration: 1,
			},
		);
		#[extrinsic_call]
		_(RawOrigin::Signed(viewer.clone()), STREAM);
		assert_eq!(LastJoin::<T>::get(STREAM, &viewer), 2);
		Ok(())
	}

	#[benchmark]
	fn settle(n: Linear<1, { T::MaxEntries::get() }>) -> Result<(), BenchmarkError> {
		let who = operator::<T>()?;
		let (entries, hash) = batch::<T>(&who, n, true, true)?;
		let seq = old_outcome::<T>(&who);
		#[extrinsic_call]
		_(RawOrigin::Signed(who.clone()), seq, hash, entries);
		check::<T>(&who, seq, n, 0);
		Ok(())
	}

	#[benchmark]
	fn settle_same_stream(n: Linear<1, { T::MaxEntries::get() }>) -> Result<(), BenchmarkError> {
		let who = operator::<T>()?;
		let (entries, hash) = batch::<T>(&who, n, false, true)?;
		let seq = old_outcome::<T>(&who);
		#[extrinsic_call]
		settle(RawOrigin::Signed(who.clone()), seq, hash, entries);
		check::<T>(&who, seq, n, 0);
		Ok(())
	}

	#[benchmark]
	fn settle_refused(n: Linear<1, { T::MaxEntries::get() }>) -> Result<(), BenchmarkError> {
		let who = operator::<T>()?;
		let (entries, hash) = batch::<T>(&who, n, true, false)?;
		let seq = old_outcome::<T>(&who);
		#[extrinsic_call]
		settle(RawOrigin::Signed(who.clone()), seq, hash, entries);
		check::<T>(&who, seq, 0, n);
		Ok(())
	}

	#[benchmark]
	fn register_operator() -> Result<(), BenchmarkError> {
		let who = operator::<T>()?;
		Pallet::<T>::deregister_operator(RawOrigin::Signed(who.clone()).into())?;
		T::BenchmarkHelper::set_time(NOW + T::WithdrawNotice::get());
		Pallet::<T>::release_bond(RawOrigin::Signed(who.clone()).into())?;
		#[extrinsic_call]
		_(RawOrigin::Signed(who.clone()));
		assert!(Operators::<T>::get(&who).is_some_and(|one| one.active));
		Ok(())
	}

	#[benchmark]
	fn deregister_operator() -> Result<(), BenchmarkError> {
		let who = operator::<T>()?;
		#[extrinsic_call]
		_(RawOrigin::Signed(who.clone()));
		assert!(Operators::<T>::get(&who).is_some_and(|one| !one.active));
		Ok(())
	}

	#[benchmark]
	fn release_bond() -> Result<(), BenchmarkError> {
		let who = operator::<T>()?;
		Pallet::<T>::deregister_operator(RawOrigin::Signed(who.clone()).into())?;
		T::BenchmarkHelper::set_time(NOW + T::WithdrawNotice::get());
		#[extrinsic_call]
		_(RawOrigin::Signed(who.clone()));
		assert!(Operators::<T>::get(&who).is_some_and(|one| one.bond == 0));
		Ok(())
	}

	#[benchmark]
	fn create_stream() -> Result<(), BenchmarkError> {
		let who = operator::<T>()?;
		let creator = someone::<T>("creator", 0);
		let split = Split {
			account: creator.clone(),
			ppm: 1,
		};
		let splits = BoundedVec::truncate_from(vec![split; T::MaxSplits::get() as usize]);
		#[extrinsic_call]
		_(
			RawOrigin::Signed(creator),
			STREAM,
			who,
			whole_title::<T>(),
			PRICE,
			splits,
		);
		assert!(StreamInfo::<T>::contains_key(STREAM));
		Ok(())
	}

	#[benchmark]
	fn set_price() -> Result<(), BenchmarkError> {
		let who = operator::<T>()?;
		stream::<T>(STREAM, &who, &who, 0);
		// All versions there may be: the oldest is forgotten.
		let now = NOW + T::WithdrawNotice::get() + u64::from(T::MaxPriceVersions::get());
		T::BenchmarkHelper::set_time(now);
		#[extrinsic_call]
		_(
			RawOrigin::Signed(who),
			STREAM,
			u128::MAX,
			now + T::PriceNotice::get(),
		);
		let number = StreamInfo::<T>::get(STREAM).and_then(|one| one.prices.last().map(|last| last.number));
		assert_eq!(number, Some(T::MaxPriceVersions::get() + 1));
		Ok(())
	}

	#[benchmark]
	fn close_stream() -> Result<(), BenchmarkError> {
		let who = operator::<T>()?;
		stream::<T>(STREAM, &who, &who, 0);
		#[extrinsic_call]
		_(RawOrigin::Signed(who), STREAM);
		assert!(StreamInfo::<T>::get(STREAM).is_some_and(|one| one.status == Status::Closed));
		Ok(())
	}

	#[benchmark]
	fn set_limit() {
		let viewer = someone::<T>("viewer", 0);
		#[extrinsic_call]
		_(RawOrigin::Signed(viewer.clone()), 1, 1, 1);
		assert!(Limits::<T>::contains_key(&viewer));
	}

	#[benchmark]
	fn join_with_caps() -> Result<(), BenchmarkError> {
		let who = operator::<T>()?;
		let viewer = someone::<T>("viewer", 0);
		stream::<T>(STREAM, &who, &who, 0);
		session::<T>(STREAM, &viewer);
		#[extrinsic_call]
		_(RawOrigin::Signed(viewer.clone()), STREAM, 1, 1, 1);
		assert_eq!(LastJoin::<T>::get(STREAM, &viewer), 2);
		Ok(())
	}

	#[benchmark]
	fn leave_stream() -> Result<(), BenchmarkError> {
		let who = operator::<T>()?;
		let viewer = someone::<T>("viewer", 0);
		stream::<T>(STREAM, &who, &who, 0);
		session::<T>(STREAM, &viewer);
		#[extrinsic_call]
		_(RawOrigin::Signed(viewer.clone()), STREAM);
		assert_eq!(
			Sessions::<T>::get((STREAM, &viewer, 1)).and_then(|one| one.ended_at),
			Some(NOW)
		);
		Ok(())
	}

	#[benchmark]
	fn deposit() -> Result<(), BenchmarkError> {
		let who = operator::<T>()?;
		let viewer = someone::<T>("viewer", 0);
		#[extrinsic_call]
		_(RawOrigin::Signed(viewer.clone()), who.clone(), PRICE);
		assert_eq!(Escrows::<T>::get(&who, &viewer).held, PRICE);
		Ok(())
	}

	#[benchmark]
	fn request_withdraw() -> Result<(), BenchmarkError> {
		let who = operator::<T>()?;
		let viewer = someone::<T>("viewer", 0);
		escrow::<T>(&who, &viewer)?;
		#[extrinsic_call]
		_(RawOrigin::Signed(viewer.clone()), who.clone(), PRICE);
		assert_eq!(
			Escrows::<T>::get(&who, &viewer).withdrawal.map(|one| one.amount),
			Some(PRICE)
		);
		Ok(())
	}

	#[benchmark]
	fn withdraw_escrow() -> Result<(), BenchmarkError> {
		let who = operator::<T>()?;
		let viewer = someone::<T>("viewer", 0);
		escrow::<T>(&who, &viewer)?;
		#[extrinsic_call]
		_(RawOrigin::Signed(viewer.clone()), who.clone());
		assert_eq!(Escrows::<T>::get(&who, &viewer).withdrawal, None);
		Ok(())
	}

	#[benchmark]
	fn withdraw_credit() -> Result<(), BenchmarkError> {
		operator::<T>()?;
		let creator = someone::<T>("creator", 0);
		Credits::<T>::insert(
			&creator,
			Credit {
				available: PRICE,
				pending: 1,
				maturing: 1,
				period: 0,
			},
		);
		let before = T::Currency::balance(&creator);
		#[extrinsic_call]
		_(RawOrigin::Signed(creator.clone()));
		assert_eq!(T::Currency::balance(&creator), before + PRICE + 2);
		Ok(())
	}

	#[benchmark]
	fn reap_session() -> Result<(), BenchmarkError> {
		let who = operator::<T>()?;
		let viewer = someone::<T>("viewer", 0);
		stream::<T>(STREAM, &who, &who, 0);
		session::<T>(STREAM, &viewer);
		T::BenchmarkHelper::set_time(NOW + T::MaxJoinDuration::get() + T::WithdrawNotice::get() + 1);
		#[extrinsic_call]
		_(RawOrigin::Signed(who), STREAM, viewer.clone(), 1);
		assert!(!Sessions::<T>::contains_key((STREAM, &viewer, 1)));
		Ok(())
	}

	#[benchmark]
	fn set_operator_active() -> Result<(), BenchmarkError> {
		let who = operator::<T>()?;
		let origin = T::ForceOrigin::try_successful_origin().map_err(|_| BenchmarkError::Weightless)?;
		#[extrinsic_call]
		_(origin as T::RuntimeOrigin, who.clone(), false);
		assert!(Operators::<T>::get(&who).is_some_and(|one| !one.active));
		Ok(())
	}

	impl_benchmark_test_suite!(Pallet, crate::mock::new_test_ext(), crate::mock::Test);
}
