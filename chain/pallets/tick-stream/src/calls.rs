//! Calls of the pallet; `settle` itself is in settle.rs, joining in joins.rs.

use frame_support::pallet_macros::pallet_section;

/// Imported into the pallet's module.
#[pallet_section]
mod calls {
	#[pallet::call]
	impl<T: Config> Pallet<T> {
		/// Count ticks of a viewer, for the platform's page. It never moves money.
		///
		/// Signed by the stream's operator. Errors: `StreamNotFound`, `Unauthorized`.
		#[pallet::call_index(0)]
		#[pallet::weight(T::WeightInfo::record_tick())]
		pub fn record_tick(
			origin: OriginFor<T>,
			stream_id: u128,
			viewer: T::AccountId,
			ticks: u32,
		) -> DispatchResult {
			let who = ensure_signed(origin)?;
			let stream = StreamInfo::<T>::get(stream_id).ok_or(Error::<T>::StreamNotFound)?;
			ensure!(stream.operator == who, Error::<T>::Unauthorized);
			Self::count_ticks(stream_id, ticks);
			BatchedTicks::<T>::mutate(stream_id, |last| {
				if last.is_full() && !last.is_empty() {
					last.remove(0);
				}
				let _ = last.try_push((viewer.clone(), ticks));
			});
			Self::deposit_event(Event::TickRecorded {
				stream_id,
				viewer,
				ticks,
			});
			Ok(())
		}

		/// Join a stream with the signer's own default caps.
		///
		/// Errors: `NoLimit`, and those of `join_with_caps`.
		#[pallet::call_index(1)]
		#[pallet::weight(T::WeightInfo::join_stream())]
		pub fn join_stream(origin: OriginFor<T>, stream_id: u128) -> DispatchResult {
			let viewer = ensure_signed(origin)?;
			let limit = Limits::<T>::get(&viewer).ok_or(Error::<T>::NoLimit)?;
			Self::do_join(viewer, stream_id, limit)
		}

		/// Settle a batch: `entries` are cumulative, `hash` is blake2-256 of their SCALE bytes (compact
		/// count included), `seq` is one above the operator's last.
		///
		/// Signed by an active operator. An entry that is not above what is stored changes nothing; one
		/// that may not be settled is refused alone, with an event and a line in `Outcomes`. A batch that
		/// takes effect costs no fee, and its weight is that of what it did.
		/// Errors: `NotRegistered`, `NotActive`, `AlreadySettled`, `SequenceGap`, `HashMismatch`.
		#[pallet::call_index(2)]
		#[pallet::weight(Pallet::<T>::settle_weight(entries.len() as u32, Pallet::<T>::streams_of(entries)))]
		pub fn settle(
			origin: OriginFor<T>,
			seq: u64,
			hash: H256,
			entries: BoundedVec<Entry<T::AccountId>, T::MaxEntries>,
		) -> DispatchResultWithPostInfo {
			let who = ensure_signed(origin)?;
			let weight = Self::do_settle(who, seq, hash, entries)?;
			Ok((Some(weight), Pays::No).into())
		}

		/// Register the signer as an operator and hold its bond. Who was one before goes on from its
		/// last batch number.
		///
		/// Errors: `AlreadyRegistered` while a bond is on hold, `PotMissing`, the currency's.
		#[pallet::call_index(3)]
		#[pallet::weight(T::WeightInfo::register_operator())]
		pub fn register_operator(origin: OriginFor<T>) -> DispatchResult {
			let who = ensure_signed(origin)?;
			let before = Operators::<T>::get(&who);
			ensure!(
				before.as_ref().is_none_or(|one| one.bond == 0),
				Error::<T>::AlreadyRegistered
			);
			// Without it the first small batch could not pay into the pot.
			let minimum = T::Currency::minimum_balance();
			ensure!(
				T::Currency::balance(&Self::pot()) >= minimum,
				Error::<T>::PotMissing
			);
			let bond = T::OperatorBond::get();
			T::Currency::hold(&HoldReason::OperatorBond.into(), &who, bond)?;
			let (last_seq, last_hash) =
				before.map_or_else(Default::default, |one| (one.last_seq, one.last_hash));
			let row = Operator {
				bond,
				active: true,
				last_seq,
				last_hash,
				released_at: None,
			};
			Operators::<T>::insert(&who, row);
			Self::deposit_event(Event::OperatorRegistered { operator: who, bond });
			Ok(())
		}

		/// Stop settling at once; the bond may be taken after `WithdrawNotice`.
		///
		/// Errors: `NotRegistered`, `NotActive` (deregistered before, or switched off: then only
		/// `ForceOrigin` lets it go).
		#[pallet::call_index(4)]
		#[pallet::weight(T::WeightInfo::deregister_operator())]
		pub fn deregister_operator(origin: OriginFor<T>) -> DispatchResult {
			let who = ensure_signed(origin)?;
			let mut operator = Self::active_operator(&who)?;
			operator.active = false;
			operator.released_at = Some(Self::now().saturating_add(T::WithdrawNotice::get()));
			Operators::<T>::insert(&who, operator);
			Self::deposit_event(Event::OperatorDeregistered { operator: who });
			Ok(())
		}

		/// Take the bond back after the notice.
		///
		/// Errors: `NotRegistered`, `NothingToRelease`, `NotYet`.
		#[pallet::call_index(5)]
		#[pallet::weight(T::WeightInfo::release_bond())]
		pub fn release_bond(origin: OriginFor<T>) -> DispatchResult {
			let who = ensure_signed(origin)?;
			let mut operator = Operators::<T>::get(&who).ok_or(Error::<T>::NotRegistered)?;
			let ready = operator.released_at.ok_or(Error::<T>::NothingToRelease)?;
			ensure!(Self::now() >= ready, Error::<T>::NotYet);
			let amount = core::mem::take(&mut operator.bond);
			let reason = HoldReason::OperatorBond.into();
			T::Currency::release(&reason, &who, amount, Precision::Exact)?;
			operator.released_at = None;
			Operators::<T>::insert(&who, operator);
			Self::deposit_event(Event::BondReleased {
				operator: who,
				amount,
			});
			Ok(())
		}

		/// Make a stream under a number of the signer's choice, with price version 1 in force now.
		///
		/// `price` is in planck per tick; `splits` share the earnings, the signer gets the rest.
		/// Errors: `StreamExists`, `NotRegistered`, `NotActive`, `BadSplits`.
		#[pallet::call_index(6)]
		#[pallet::weight(T::WeightInfo::create_stream())]
		pub fn create_stream(
			origin: OriginFor<T>,
			stream_id: u128,
			operator: T::AccountId,
			title: BoundedVec<u8, T::MaxTitleLen>,
			price: u128,
			splits: BoundedVec<Split<T::AccountId>, T::MaxSplits>,
		) -> DispatchResult {
			let creator = ensure_signed(origin)?;
			ensure!(
				!StreamInfo::<T>::contains_key(stream_id),
				Error::<T>::StreamExists
			);
			Self::active_operator(&operator)?;
			let sum = splits
				.iter()
				.fold(0u64, |sum, one| sum.saturating_add(one.ppm.into()));
			ensure!(sum <= PPM.into(), Error::<T>::BadSplits);
			let now = Self::now();
			let mut prices = BoundedVec::new();
			prices
				.try_push(PriceVersion {
					number: 1,
					price,
					from: now,
				})
				.map_err(|_| Error::<T>::TooManyPrices)?;
			let stream = Stream {
				creator: creator.clone(),
				operator: operator.clone(),
				title,
				prices,
				splits,
				status: Status::Open,
				closed_at: None,
				created_at: now,
				total_ticks: 0,
				total_amount: 0,
				viewers: 0,
			};
			StreamInfo::<T>::insert(stream_id, stream);
			Self::deposit_event(Event::StreamCreated {
				stream_id,
				creator,
				operator,
			});
			Self::deposit_event(Event::PriceSet {
				stream_id,
				number: 1,
				price,
				from: now,
			});
			Ok(())
		}

		/// Announce the next price version, in force from second `from` on.
		///
		/// Signed by the creator. Errors: `StreamNotFound`, `Unauthorized`, `StreamClosed`, `PriceTooSoon`,
		/// `TooManyPrices`, `Overflow`.
		#[pallet::call_index(7)]
		#[pallet::weight(T::WeightInfo::set_price())]
		pub fn set_price(origin: OriginFor<T>, stream_id: u128, price: u128, from: u64) -> DispatchResult {
			let who = ensure_signed(origin)?;
			let mut stream = Self::open_stream_of(&who, stream_id)?;
			let now = Self::now();
			let (number, last_from) = stream.prices.last().map_or((0, 0), |one| (one.number, one.from));
			let soonest = now.saturating_add(T::PriceNotice::get());
			ensure!(from >= soonest && from > last_from, Error::<T>::PriceTooSoon);
			if stream.prices.is_full() {
				let second = stream.prices.get(1).ok_or(Error::<T>::TooManyPrices)?;
				// No tick at the oldest can be within its time any more.
				let forgotten = second.from.saturating_add(T::WithdrawNotice::get());
				ensure!(now > forgotten, Error::<T>::TooManyPrices);
				stream.prices.remove(0);
			}
			let number = number.checked_add(1).ok_or(Error::<T>::Overflow)?;
			stream
				.prices
				.try_push(PriceVersion { number, price, from })
				.map_err(|_| Error::<T>::TooManyPrices)?;
			StreamInfo::<T>::insert(stream_id, stream);
			Self::deposit_event(Event::PriceSet {
				stream_id,
				number,
				price,
				from,
			});
			Ok(())
		}

		/// Close a stream for good: its joins end now, their entries are taken until the notice has passed.
		///
		/// Signed by the creator. Errors: `StreamNotFound`, `Unauthorized`, `StreamClosed`.
		#[pallet::call_index(8)]
		#[pallet::weight(T::WeightInfo::close_stream())]
		pub fn close_stream(origin: OriginFor<T>, stream_id: u128) -> DispatchResult {
			let who = ensure_signed(origin)?;
			let mut stream = Self::open_stream_of(&who, stream_id)?;
			stream.status = Status::Closed;
			stream.closed_at = Some(Self::now());
			StreamInfo::<T>::insert(stream_id, stream);
			Self::deposit_event(Event::StreamClosed { stream_id });
			Ok(())
		}

		/// Set the signer's default for `join_stream`: planck for a join, planck per tick, seconds.
		///
		/// Errors: `BadDuration`.
		#[pallet::call_index(9)]
		#[pallet::weight(T::WeightInfo::set_limit())]
		pub fn set_limit(
			origin: OriginFor<T>,
			max_spend: u128,
			max_price: u128,
			duration: u64,
		) -> DispatchResult {
			let viewer = ensure_signed(origin)?;
			Self::check_duration(duration)?;
			Limits::<T>::insert(
				&viewer,
				Limit {
					max_spend,
					max_price,
					duration,
				},
			);
			Self::deposit_event(Event::LimitSet { viewer });
			Ok(())
		}

		/// Join a stream: at most `max_spend` planck, at most `max_price` planck per tick, for `duration`
		/// seconds. A join that is still open ends now.
		///
		/// Errors: `StreamNotFound`, `StreamClosed`, `BadDuration`, `TooManyViewers`, `Overflow`.
		#[pallet::call_index(10)]
		#[pallet::weight(T::WeightInfo::join_with_caps())]
		pub fn join_with_caps(
			origin: OriginFor<T>,
			stream_id: u128,
			max_spend: u128,
			max_price: u128,
			duration: u64,
		) -> DispatchResult {
			let viewer = ensure_signed(origin)?;
			Self::do_join(
				viewer,
				stream_id,
				Limit {
					max_spend,
					max_price,
					duration,
				},
			)
		}

		/// End the signer's join of a stream now.
		///
		/// Errors: `NotJoined`.
		#[pallet::call_index(11)]
		#[pallet::weight(T::WeightInfo::leave_stream())]
		pub fn leave_stream(origin: OriginFor<T>, stream_id: u128) -> DispatchResult {
			let viewer = ensure_signed(origin)?;
			let join = LastJoin::<T>::get(stream_id, &viewer);
			let key = (stream_id, &viewer, join);
			let mut session = Sessions::<T>::get(key).ok_or(Error::<T>::NotJoined)?;
			ensure!(session.ended_at.is_none(), Error::<T>::NotJoined);
			session.ended_at = Some(Self::now());
			Sessions::<T>::insert(key, session);
			Self::deposit_event(Event::SessionEnded {
				stream_id,
				viewer,
				join,
			});
			Ok(())
		}

		/// Put planck in escrow for all of one operator's streams.
		///
		/// Errors: `NotRegistered`, `NotActive`, `ZeroAmount`, the currency's.
		#[pallet::call_index(12)]
		#[pallet::weight(T::WeightInfo::deposit())]
		pub fn deposit(origin: OriginFor<T>, operator: T::AccountId, amount: u128) -> DispatchResult {
			let viewer = ensure_signed(origin)?;
			Self::active_operator(&operator)?;
			ensure!(amount > 0, Error::<T>::ZeroAmount);
			T::Currency::hold(&HoldReason::TickEscrow.into(), &viewer, amount)?;
			let held = Escrows::<T>::try_mutate(&operator, &viewer, |escrow| {
				escrow.held = escrow.held.checked_add(amount).ok_or(Error::<T>::Overflow)?;
				Ok::<_, DispatchError>(escrow.held)
			})?;
			Self::deposit_event(Event::EscrowDeposited {
				viewer,
				operator,
				amount,
				held,
			});
			Ok(())
		}

		/// Ask escrow back: at most what is held, in place of an earlier request; 0 cancels.
		///
		/// It may be taken after `WithdrawNotice`, and pays for ticks until it is.
		/// Errors: `NoEscrow`, `NotEnough`.
		#[pallet::call_index(13)]
		#[pallet::weight(T::WeightInfo::request_withdraw())]
		pub fn request_withdraw(
			origin: OriginFor<T>,
			operator: T::AccountId,
			amount: u128,
		) -> DispatchResult {
			let viewer = ensure_signed(origin)?;
			ensure!(
				Escrows::<T>::contains_key(&operator, &viewer),
				Error::<T>::NoEscrow
			);
			let mut escrow = Escrows::<T>::get(&operator, &viewer);
			ensure!(amount <= escrow.held, Error::<T>::NotEnough);
			let ready_at = Self::now().saturating_add(T::WithdrawNotice::get());
			escrow.withdrawal = (amount > 0).then_some(Withdrawal { amount, ready_at });
			Escrows::<T>::insert(&operator, &viewer, escrow);
			Self::deposit_event(Event::WithdrawRequested {
				viewer,
				operator,
				amount,
				ready_at,
			});
			Ok(())
		}

		/// Take the escrow that was asked back, as much of it as ticks have left.
		///
		/// Needs nobody's help. Errors: `NoWithdrawal`, `NotYet`.
		#[pallet::call_index(14)]
		#[pallet::weight(T::WeightInfo::withdraw_escrow())]
		pub fn withdraw_escrow(origin: OriginFor<T>, operator: T::AccountId) -> DispatchResult {
			let viewer = ensure_signed(origin)?;
			let escrow = Escrows::<T>::get(&operator, &viewer);
			let asked = escrow.withdrawal.ok_or(Error::<T>::NoWithdrawal)?;
			ensure!(Self::now() >= asked.ready_at, Error::<T>::NotYet);
			let amount = asked.amount.min(escrow.held);
			let reason = HoldReason::TickEscrow.into();
			T::Currency::release(&reason, &viewer, amount, Precision::Exact)?;
			let held = escrow.held - amount;
			if held > 0 {
				Escrows::<T>::insert(
					&operator,
					&viewer,
					Escrow {
						held,
						withdrawal: None,
					},
				);
			} else {
				Escrows::<T>::remove(&operator, &viewer);
			}
			Self::deposit_event(Event::EscrowWithdrawn {
				viewer,
				operator,
				amount,
				held,
			});
			Ok(())
		}

		/// Pay the signer all credit that is available.
		///
		/// Errors: `NothingToWithdraw`, `BelowMinimum` (the credit stays).
		#[pallet::call_index(15)]
		#[pallet::weight(T::WeightInfo::withdraw_credit())]
		pub fn withdraw_credit(origin: OriginFor<T>) -> DispatchResult {
			let account = ensure_signed(origin)?;
			let mut credit = Credits::<T>::get(&account);
			credit.roll(Self::credit_period(Self::now()));
			let amount = core::mem::take(&mut credit.available);
			ensure!(amount > 0, Error::<T>::NothingToWithdraw);
			let allowed = T::Currency::can_deposit(&account, amount, Provenance::Extant);
			ensure!(allowed == DepositConsequence::Success, Error::<T>::BelowMinimum);
			T::Currency::transfer(&Self::pot(), &account, amount, Preservation::Preserve)?;
			if credit.total() > 0 {
				Credits::<T>::insert(&account, credit);
			} else {
				Credits::<T>::remove(&account);
			}
			Self::deposit_event(Event::CreditWithdrawn { account, amount });
			Ok(())
		}

		/// Remove a join that ended longer ago than `WithdrawNotice`: it can have no more entries.
		///
		/// Signed by anyone. Errors: `NoSession`, `NotYet`.
		#[pallet::call_index(16)]
		#[pallet::weight(T::WeightInfo::reap_session())]
		pub fn reap_session(
			origin: OriginFor<T>,
			stream_id: u128,
			viewer: T::AccountId,
			join: u32,
		) -> DispatchResult {
			ensure_signed(origin)?;
			let key = (stream_id, &viewer, join);
			let session = Sessions::<T>::get(key).ok_or(Error::<T>::NoSession)?;
			let stream = StreamInfo::<T>::get(stream_id);
			let end = session.end(stream.as_ref().and_then(|one| one.closed_at));
			let last = end.saturating_add(T::WithdrawNotice::get());
			ensure!(Self::now() > last, Error::<T>::NotYet);
			Sessions::<T>::remove(key);
			if let Some(mut stream) = stream {
				stream.viewers = stream.viewers.saturating_sub(1);
				StreamInfo::<T>::insert(stream_id, stream);
			}
			Self::deposit_event(Event::SessionReaped {
				stream_id,
				viewer,
				join,
			});
			Ok(())
		}

		/// Switch a registered operator off or on. While off it neither settles nor gets its bond back.
		///
		/// `ForceOrigin` only. Errors: `NotRegistered` (also when it is deregistered).
		#[pallet::call_index(17)]
		#[pallet::weight(T::WeightInfo::set_operator_active())]
		pub fn set_operator_active(
			origin: OriginFor<T>,
			operator: T::AccountId,
			active: bool,
		) -> DispatchResult {
			T::ForceOrigin::ensure_origin(origin)?;
			let mut row = Operators::<T>::get(&operator).ok_or(Error::<T>::NotRegistered)?;
			ensure!(
				row.bond > 0 && row.released_at.is_none(),
				Error::<T>::NotRegistered
			);
			row.active = active;
			Operators::<T>::insert(&operator, row);
			Self::deposit_event(Event::OperatorActivitySet { operator, active });
			Ok(())
		}
	}
}
