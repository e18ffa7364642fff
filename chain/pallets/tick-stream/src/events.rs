//! Events and errors of the pallet; their order is their index, so new ones come last.

use frame_support::pallet_macros::pallet_section;

/// Imported into the pallet's module.
#[pallet_section]
mod events {
	/// What happened.
	#[pallet::event]
	#[pallet::generate_deposit(pub(crate) fn deposit_event)]
	pub enum Event<T: Config> {
		/// `record_tick` counted ticks.
		TickRecorded {
			/// Stream.
			stream_id: u128,
			/// Who watched.
			viewer: T::AccountId,
			/// Ticks counted.
			ticks: u32,
		},
		/// A viewer joined: the platform's shape, beside `SessionOpened`.
		ViewerJoined {
			/// Stream.
			stream_id: u128,
			/// Who joined.
			viewer: T::AccountId,
		},
		/// A batch took effect.
		BatchSettled {
			/// Whose.
			operator: T::AccountId,
			/// Its number.
			seq: u64,
			/// Hash of its entries.
			hash: H256,
			/// How many entries it had.
			entries: u32,
			/// How many of them were refused.
			refused: u32,
			/// Ticks settled.
			ticks: u64,
			/// Planck settled.
			amount: u128,
		},
		/// An entry of a batch changed nothing.
		EntryRefused {
			/// Whose batch.
			operator: T::AccountId,
			/// Number of the batch.
			seq: u64,
			/// Index of the entry, from 0.
			index: u32,
			/// Why.
			reason: Refusal,
		},
		/// An operator's bond is on hold.
		OperatorRegistered {
			/// Who.
			operator: T::AccountId,
			/// Planck on hold.
			bond: u128,
		},
		/// An operator stopped; its bond waits for the notice.
		OperatorDeregistered {
			/// Who.
			operator: T::AccountId,
		},
		/// A bond went back.
		BondReleased {
			/// Whose.
			operator: T::AccountId,
			/// Planck released.
			amount: u128,
		},
		/// An operator was switched off or on.
		OperatorActivitySet {
			/// Who.
			operator: T::AccountId,
			/// Whether it may settle.
			active: bool,
		},
		/// A stream was made.
		StreamCreated {
			/// Stream.
			stream_id: u128,
			/// Who made it.
			creator: T::AccountId,
			/// Who reports its ticks.
			operator: T::AccountId,
		},
		/// A price version was announced.
		PriceSet {
			/// Stream.
			stream_id: u128,
			/// Number of the version.
			number: u32,
			/// Planck per tick.
			price: u128,
			/// First second in force.
			from: u64,
		},
		/// A stream was closed.
		StreamClosed {
			/// Stream.
			stream_id: u128,
		},
		/// A viewer's default changed.
		LimitSet {
			/// Whose.
			viewer: T::AccountId,
		},
		/// A join began.
		SessionOpened {
			/// Stream.
			stream_id: u128,
			/// Who joined.
			viewer: T::AccountId,
			/// Number of the join, from 1.
			join: u32,
			/// Planck it may cost.
			max_spend: u128,
			/// Planck per tick it pays at most.
			max_price: u128,
			/// When it ends by itself.
			expires_at: u64,
		},
		/// A viewer left, or joined again.
		SessionEnded {
			/// Stream.
			stream_id: u128,
			/// Who.
			viewer: T::AccountId,
			/// Number of the join.
			join: u32,
		},
		/// A join that can have no more entries was removed.
		SessionReaped {
			/// Stream.
			stream_id: u128,
			/// Whose.
			viewer: T::AccountId,
			/// Number of the join.
			join: u32,
		},
		/// Planck went into escrow.
		EscrowDeposited {
			/// Whose.
			viewer: T::AccountId,
			/// For whose streams.
			operator: T::AccountId,
			/// Planck added.
			amount: u128,
			/// Planck held after it.
			held: u128,
		},
		/// Escrow was asked back; an amount of 0 cancels.
		WithdrawRequested {
			/// Whose.
			viewer: T::AccountId,
			/// From whose streams.
			operator: T::AccountId,
			/// Planck asked for.
			amount: u128,
			/// From when on it may be taken.
			ready_at: u64,
		},
		/// Escrow went back.
		EscrowWithdrawn {
			/// Whose.
			viewer: T::AccountId,
			/// From whose streams.
			operator: T::AccountId,
			/// Planck released.
			amount: u128,
			/// Planck held after it.
			held: u128,
		},
		/// Credit was paid out of the pot.
		CreditWithdrawn {
			/// Whose.
			account: T::AccountId,
			/// Planck paid.
			amount: u128,
		},
	}

	/// Why a call failed. Nothing changed then, and the fee is due.
	#[pallet::error]
	pub enum Error<T> {
		/// The batch took effect before: its number is not above the operator's last.
		AlreadySettled,
		/// The batch's number is more than one above the operator's last.
		SequenceGap,
		/// The hash is not blake2-256 of the SCALE bytes of the entries.
		HashMismatch,
		/// The account is no registered operator.
		NotRegistered,
		/// The account has a bond on hold: it is registered, or must release the bond first.
		AlreadyRegistered,
		/// The operator deregistered or was switched off.
		NotActive,
		/// No such stream.
		StreamNotFound,
		/// The number is taken.
		StreamExists,
		/// The stream was closed.
		StreamClosed,
		/// The signer is not the stream's creator, or not its operator.
		Unauthorized,
		/// The splits are more than 10^6 millionths together.
		BadSplits,
		/// The price is in force too soon, or not after the version before it.
		PriceTooSoon,
		/// No price version is old enough to be forgotten.
		TooManyPrices,
		/// The viewer has no default limit: `set_limit` first, or `join_with_caps`.
		NoLimit,
		/// The duration is 0 or above `MaxJoinDuration`.
		BadDuration,
		/// The stream has `MaxViewersPerStream` sessions: reap ended ones.
		TooManyViewers,
		/// The viewer has no open join of this stream.
		NotJoined,
		/// No such join.
		NoSession,
		/// The notice has not passed.
		NotYet,
		/// An amount of 0.
		ZeroAmount,
		/// No escrow with this operator.
		NoEscrow,
		/// More than the escrow holds.
		NotEnough,
		/// No withdrawal was asked for.
		NoWithdrawal,
		/// No bond waits for its release: deregister first.
		NothingToRelease,
		/// No credit is available yet.
		NothingToWithdraw,
		/// The credit would not keep the account alive: it stays until there is more.
		BelowMinimum,
		/// A number does not fit its type.
		Overflow,
		/// The pot has less than the existential deposit: send that to the pallet's account first.
		PotMissing,
	}
}
