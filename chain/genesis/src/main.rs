//! `vilokanam-genesis RUNTIME.wasm FOLDER`: writes what a chain starts from and what clients must know of it.
//!
//! In FOLDER: the compressed wasm (as it goes into storage under `:code`), the raw genesis with sorted keys (chopsticks
//! walks them in file order, and equal genesis is then equal bytes), the metadata (version 14, hexadecimal, what
//! `state_getMetadata` answers) and the versions. The same wasm gives the same bytes.
use serde_json::{json, Map, Value};
use sp_runtime::{BuildStorage, Storage};
use std::{env, fs, path::Path, process::ExitCode};
use vilokanam_runtime::{constants::DECIMALS, genesis, Runtime, Ss58Prefix, VERSION};

/// More than any runtime: a guard of the decompressor against bombs, bytes.
const BOMB_LIMIT: usize = 50 * 1024 * 1024;
const METADATA_VERSION: u32 = 14;
const TOKEN: &str = "UNIT";

fn main() -> ExitCode {
	let arguments: Vec<String> = env::args().skip(1).collect();
	let [wasm, folder] = arguments.as_slice() else {
		eprintln!("usage: vilokanam-genesis RUNTIME.wasm FOLDER");
		return ExitCode::from(2);
	};
	match write(Path::new(wasm), Path::new(folder)) {
		Ok(()) => ExitCode::SUCCESS,
		Err(reason) => {
			eprintln!("vilokanam-genesis: {reason}");
			ExitCode::FAILURE
		}
	}
}

fn write(wasm: &Path, folder: &Path) -> Result<(), String> {
	let code =
		fs::read(wasm).map_err(|error| format!("{}: {error}: build the wasm first", wasm.display()))?;
	let compressed = sp_maybe_compressed_blob::compress_strongly(&code, BOMB_LIMIT).ok_or_else(|| {
		format!(
			"{}: {} B cannot be compressed: is it a runtime?",
			wasm.display(),
			code.len()
		)
	})?;
	let storage = genesis::development().build_storage()?;
	let files = [
		("vilokanam.compact.compressed.wasm", compressed.clone()),
		("genesis.raw.json", pretty(&raw_spec(storage, compressed))),
		("metadata.hex", metadata().into_bytes()),
		("versions.json", pretty(&versions())),
	];
	for (name, bytes) in files {
		let path = folder.join(name);
		fs::write(&path, bytes).map_err(|error| format!("{}: {error}", path.display()))?;
	}
	Ok(())
}

/// The raw chain spec. `relay_chain` and `para_id` mean nothing here: omni-node does not start without them.
fn raw_spec(mut storage: Storage, code: Vec<u8>) -> Value {
	storage
		.top
		.insert(sp_storage::well_known_keys::CODE.to_vec(), code);
	let top: Map<String, Value> = storage
		.top
		.iter()
		.map(|(key, value)| (hex(key), hex(value).into()))
		.collect();
	json!({
		"name": "Vilokanam Development",
		"id": "vilokanam_dev",
		"chainType": "Development",
		"bootNodes": [],
		"telemetryEndpoints": null,
		"protocolId": null,
		"properties": {"ss58Format": Ss58Prefix::get(), "tokenDecimals": DECIMALS, "tokenSymbol": TOKEN},
		"codeSubstitutes": {},
		"relay_chain": "none",
		"para_id": 2000,
		"genesis": {"raw": {"top": top, "childrenDefault": {}}},
	})
}

fn metadata() -> String {
	let bytes = Runtime::metadata_at_version(METADATA_VERSION).expect("FRAME writes version 14; qed");
	hex(&bytes) + "\n"
}

fn versions() -> Value {
	json!({
		"spec_name": VERSION.spec_name,
		"spec_version": VERSION.spec_version,
		"transaction_version": VERSION.transaction_version,
		"metadata_version": METADATA_VERSION,
		"ss58_format": Ss58Prefix::get(),
		"token_symbol": TOKEN,
		"token_decimals": DECIMALS,
	})
}

fn pretty(value: &Value) -> Vec<u8> {
	let mut bytes = serde_json::to_vec_pretty(value).expect("a JSON value can be written; qed");
	bytes.push(b'\n');
	bytes
}

fn hex(bytes: &[u8]) -> String {
	bytes
		.iter()
		.fold(String::from("0x"), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
	use super::*;
	use sp_core::{sr25519, Pair};

	#[test]
	fn every_genesis_account_is_the_one_its_path_derives() {
		for account in &genesis::ACCOUNTS {
			let pair = sr25519::Pair::from_string(account.path, None).expect("a development path");
			assert_eq!(pair.public().0, account.public, "{}", account.path);
		}
	}

	#[test]
	fn raw_genesis_has_sorted_keys_the_code_and_no_child_storage() {
		let storage = genesis::development().build_storage().unwrap();
		assert!(storage.children_default.is_empty());
		let spec = raw_spec(storage, vec![1, 2, 3]);
		let top = spec["genesis"]["raw"]["top"].as_object().unwrap();
		let keys: Vec<&String> = top.keys().collect();
		assert!(keys.is_sorted() && keys.len() > 10, "{keys:?}");
		assert_eq!(top[&hex(b":code")], "0x010203");
	}

	#[test]
	fn metadata_is_version_14_and_names_the_pallet() {
		let text = metadata();
		assert!(
			text.starts_with("0x6d6574610e"),
			"magic `meta`, then 14: {}",
			&text[..14]
		);
		assert!(text.contains(&hex(b"TickStream")[2..]));
	}
}
