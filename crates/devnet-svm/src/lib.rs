//! A real local Solana network in this process: the virtual machine with the real token programs,
//! behind the JSON-RPC that clients use. For tests and demonstrations; its keys are public.
