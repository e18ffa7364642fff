"""A Substrate node: its RPC, SCALE codec, metadata, storage and extrinsics."""
