//! The development genesis, as a preset that the runtime itself offers: `GenesisBuilder_get_preset("development")`.
//!
//! Every key here can be derived by anybody. A chain that carries money starts from a genesis of its own.

use crate::{
	constants::{EXISTENTIAL_DEPOSIT, UNIT},
	AccountId, Balance, BalancesConfig, RuntimeGenesisConfig, SudoConfig, TickStreamPalletId,
};
use alloc::{vec, vec::Vec};
use sp_genesis_builder::{PresetId, DEV_RUNTIME_PRESET};
use sp_runtime::traits::AccountIdConversion;

/// A development account: its derivation path, its sr25519 public key, its free balance in planck.
pub struct Account {
	/// Path of the secret below the well-known development phrase.
	pub path: &'static str,
	/// sr25519 public key (32 bytes), the account's id.
	pub public: [u8; 32],
	/// Free balance at genesis, planck.
	pub balance: Balance,
}

/// The accounts with money at genesis. The first holds the sudo key.
pub const ACCOUNTS: [Account; 5] = [
	Account {
		path: "//Alice",
		public: hex("d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d"),
		balance: 1_000_000_000 * UNIT,
	},
	Account {
		path: "//Bob",
		public: hex("8eaf04151687736326c9fea17e25fc5287613693c912909cb226aa4794f26a48"),
		balance: 1_000 * UNIT,
	},
	Account {
		path: "//Operator",
		public: hex("5afbc302fa68903d0d98dad6a60661e4c8fe657b85b08608f1b1d60d862cf567"),
		balance: 1_000_000 * UNIT,
	},
	Account {
		path: "//Creator",
		public: hex("0ccd1a8dca9aebea3ef92527511605640cf10c851c627ba1c661ea854ccb3536"),
		balance: UNIT,
	},
	Account {
		path: "//Viewer",
		public: hex("44354b29c9b339aad70f539d92d8d08ca592831957b13dd50af5f6ae7b86393c"),
		balance: 100 * UNIT,
	},
];

/// The account out of which the pallet pays credits; it holds the existential deposit from the start, so that the
/// first credit may be smaller than that.
pub fn pot() -> AccountId {
	TickStreamPalletId::get().into_account_truncating()
}

/// The whole development genesis.
pub fn development() -> RuntimeGenesisConfig {
	let mut balances: Vec<(AccountId, Balance)> = ACCOUNTS
		.iter()
		.map(|account| (account.public.into(), account.balance))
		.collect();
	balances.push((pot(), EXISTENTIAL_DEPOSIT));
	RuntimeGenesisConfig {
		balances: BalancesConfig {
			balances,
			..Default::default()
		},
		sudo: SudoConfig {
			key: Some(ACCOUNTS[0].public.into()),
		},
		..Default::default()
	}
}

/// The preset's JSON as bytes, or `None` for an unknown name.
pub fn preset(id: &PresetId) -> Option<Vec<u8>> {
	// Written straight from the value: a `serde_json::Value` would not hold a balance above 2^64.
	(id == DEV_RUNTIME_PRESET)
		.then(|| serde_json::to_vec(&development()).expect("plain data can be written; qed"))
}

/// The names that [`preset`] knows.
pub fn preset_names() -> Vec<PresetId> {
	vec![PresetId::from(DEV_RUNTIME_PRESET)]
}

const fn hex(text: &str) -> [u8; 32] {
	const fn nibble(character: u8) -> u8 {
		match character {
			b'0'..=b'9' => character - b'0',
			b'a'..=b'f' => character - b'a' + 10,
			_ => panic!("a public key is 64 small hexadecimal digits"),
		}
	}
	let text = text.as_bytes();
	assert!(text.len() == 64, "a public key is 64 small hexadecimal digits");
	let mut key = [0; 32];
	let mut index = 0;
	while index < 32 {
		key[index] = nibble(text[2 * index]) << 4 | nibble(text[2 * index + 1]);
		index += 1;
	}
	key
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::{Balances, Runtime, RuntimeCall, RuntimeOrigin, Sudo, System};
	use alloc::boxed::Box;
	use frame_support::assert_ok;
	use sp_runtime::BuildStorage;

	#[test]
	fn the_development_genesis_gives_money_the_sudo_key_and_a_living_pot() {
		sp_io::TestExternalities::new(development().build_storage().unwrap()).execute_with(|| {
			for account in &ACCOUNTS {
				assert_eq!(
					Balances::free_balance(AccountId::from(account.public)),
					account.balance,
					"{}",
					account.path
				);
			}
			let remark = Box::new(RuntimeCall::System(frame_system::Call::remark { remark: vec![] }));
			assert_ok!(Sudo::sudo(
				RuntimeOrigin::signed(ACCOUNTS[0].public.into()),
				remark
			));
			assert_eq!(Balances::free_balance(pot()), EXISTENTIAL_DEPOSIT);
			assert!(System::account_exists(&pot()));
			let all: Balance = ACCOUNTS.iter().map(|account| account.balance).sum();
			assert_eq!(
				pallet_balances::TotalIssuance::<Runtime>::get(),
				all + EXISTENTIAL_DEPOSIT
			);
		});
	}

	#[test]
	fn the_preset_that_a_node_reads_is_the_same_genesis() {
		let bytes = preset(&PresetId::from(DEV_RUNTIME_PRESET)).unwrap();
		let config: RuntimeGenesisConfig = serde_json::from_slice(&bytes).unwrap();
		assert_eq!(
			config.build_storage().unwrap().top,
			development().build_storage().unwrap().top
		);
		assert_eq!(preset(&PresetId::from("unknown")), None);
	}
}
