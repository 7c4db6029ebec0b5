//! The chain that the product settles on: `farebox devnet` or anvil, as a process of its own, with the same
//! token, the same Settler and the same funded payers.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, U256, address, keccak256};
use serde_json::{Value, json};

use crate::process::Process;
use crate::rpc::{self, Rpc};
use crate::sign::{self, CHAIN_ID, Cashier, Key, USDC};
use crate::{Fallible, NodeKind, product};

/// Room for hundreds of batches in a block, so that the node and not its gas limit is measured.
const BLOCK_GAS: &str = "300000000";
/// The deterministic deployment proxy, which both nodes have.
const CREATE2_FACTORY: Address = address!("4e59b44847b379578588920cA78FbF26c0B4956C");
const MULTICALL3: Address = address!("cA11bde05977b3631167028862bE2a173976CA11");
const SETTLER_CODE: &str = include_str!("../../../contracts/artifacts/Settler.creation.hex");
const USD_CODE: &str = include_str!("../../../contracts/artifacts/Usd.creation.hex");
const MULTICALL3_CODE: &str = include_str!("../../../contracts/artifacts/Multicall3.runtime.hex");
/// The development keys of `test test … junk`: gas of the gate, of the facilitator, of our own.
pub(crate) const GATE_KEY: &str =
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
pub(crate) const FACILITATOR_KEY: &str =
    "0x4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356";
const OWN_KEY: &str = "0xdbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97";
/// Who is paid.
pub(crate) const PAYEE: Address = address!("a0Ee7A142d267C1f36714E4a8F75612F20a79720");
/// Where `contracts/Usd.sol` keeps `balanceOf`.
const BALANCES_SLOT: u64 = 1;
/// What each payer gets, in atomic units: a million dollars.
const FUNDS: u64 = 1_000_000_000_000;
/// Payers that are funded by one request.
const FUNDED_AT_ONCE: usize = 1000;
/// Payments in one transaction of the ceiling, the product's own maximum.
pub(crate) const PAYMENTS_PER_TX: usize = 200;
/// What the product promises a payment, as in its own batches: a transfer needs well under it.
const GAS_EACH: u64 = 100_000;
/// Gas of one batch: 200 payments to one payee take 8 M.
const GAS_BATCH: u64 = 15_000_000;
const GAS_DEPLOY: u64 = 3_000_000;
/// A node that takes longer to start, or to mine, has failed.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(2);

/// A running chain, ready to be settled on.
pub(crate) struct Node {
    _process: Process,
    pub(crate) address: SocketAddr,
    rpc: Rpc,
    key: Key,
    settler: Address,
}

impl Node {
    /// Starts the chain and deploys what settling needs.
    pub(crate) fn start(kind: NodeKind, binary: &Path, folder: &Path) -> Fallible<Self> {
        let (process, address) = match kind {
            NodeKind::Devnet => start_devnet(binary, folder)?,
            NodeKind::Anvil => start_anvil(folder)?,
        };
        let mut node = Self {
            _process: process,
            address,
            rpc: Rpc::connect(address)?,
            key: Key::from_hex(OWN_KEY)?,
            settler: Address::ZERO,
        };
        if kind == NodeKind::Anvil {
            node.place_token()?;
        }
        node.settler = node.deploy_settler()?;
        Ok(node)
    }

    /// A token that is Base Sepolia's in address, name and version, on a chain that has none.
    fn place_token(&mut self) -> Fallible<()> {
        let mut code = hex::decode(USD_CODE.trim())?;
        code.extend(usd_arguments());
        let create = json!([{"data": format!("0x{}", hex::encode(code))}, "latest"]);
        let runtime = self.rpc.call("eth_call", create)?;
        self.rpc.call("anvil_setCode", json!([USDC, runtime]))?;
        let multicall = format!("0x{}", MULTICALL3_CODE.trim().trim_start_matches("0x"));
        self.rpc
            .call("anvil_setCode", json!([MULTICALL3, multicall]))?;
        Ok(())
    }

    fn deploy_settler(&mut self) -> Fallible<Address> {
        let code = hex::decode(SETTLER_CODE.trim().trim_start_matches("0x"))?;
        let settler = CREATE2_FACTORY.create2(B256::ZERO, keccak256(&code));
        let mut input = vec![0; 32];
        input.extend(code);
        let nonce = self.next_nonce()?;
        let (hash, raw) = sign::transaction(&self.key, nonce, CREATE2_FACTORY, input, GAS_DEPLOY);
        self.rpc
            .call("eth_sendRawTransaction", json!([raw_hex(&raw)]))?;
        self.wait_for(hash)?;
        match self
            .rpc
            .call("eth_getCode", json!([settler, "latest"]))?
            .as_str()
        {
            Some(code) if code.len() > 2 => Ok(settler),
            _ => Err("the Settler was not deployed".into()),
        }
    }

    /// Gives payers money out of nothing.
    pub(crate) fn fund(&mut self, payers: &[Key]) -> Fallible<()> {
        for some in payers.chunks(FUNDED_AT_ONCE) {
            let edits = some
                .iter()
                .map(|payer| {
                    let mut place = payer.address.into_word().to_vec();
                    place.extend(U256::from(BALANCES_SLOT).to_be_bytes::<32>());
                    json!([USDC, keccak256(place), B256::from(U256::from(FUNDS))])
                })
                .collect();
            self.rpc.call_all("anvil_setStorageAt", edits)?;
        }
        Ok(())
    }

    /// What an account has of the token.
    pub(crate) fn balance(&mut self, owner: Address) -> Fallible<u128> {
        let call = format!("0x70a08231{}", hex::encode(owner.into_word()));
        let answer = self
            .rpc
            .call("eth_call", json!([{"to": USDC, "data": call}, "latest"]))?;
        rpc::number(&answer)
    }

    /// A block each so often, or with `None` a block as soon as there is a transaction.
    pub(crate) fn mine_every(&mut self, time: Option<Duration>) -> Fallible<()> {
        match time {
            Some(time) => {
                self.rpc.call("evm_setAutomine", json!([false]))?;
                let seconds = time.as_secs();
                self.rpc.call("anvil_setIntervalMining", json!([seconds]))?;
            }
            None => {
                self.rpc.call("anvil_setIntervalMining", json!([0]))?;
                self.rpc.call("evm_setAutomine", json!([true]))?;
            }
        }
        Ok(())
    }

    /// Payments per second that the node carries out when whole batches of 200 come signed and in order from one
    /// sender: nothing that settles on this chain is faster.
    pub(crate) fn ceiling(
        &mut self,
        payers: &[Key],
        cashier: &mut Cashier,
        batches: usize,
    ) -> Fallible<f64> {
        let first = self.next_nonce()?;
        let mut hash = B256::ZERO;
        let mut requests = Vec::with_capacity(batches);
        for (nonce, batch) in (first..).zip(0..batches) {
            let mut records = Vec::new();
            for number in 0..PAYMENTS_PER_TX {
                let payer = &payers[(batch * PAYMENTS_PER_TX + number) % payers.len()];
                cashier.sign(payer).record(&mut records);
            }
            let input = settle_call(&records);
            let (last, raw) = sign::transaction(&self.key, nonce, self.settler, input, GAS_BATCH);
            hash = last;
            let call = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction", "params": [raw_hex(&raw)]});
            requests.push(rpc::written(&call));
        }
        let before = self.balance(cashier.payee)?;
        let began = Instant::now();
        for request in &requests {
            self.rpc.send_bytes(request, "eth_sendRawTransaction")?;
        }
        self.wait_for(hash)?;
        let took = began.elapsed();
        let paid = self.balance(cashier.payee)?.saturating_sub(before);
        let wanted = u128::from(cashier.value) * (batches * PAYMENTS_PER_TX) as u128;
        if paid != wanted {
            return Err(format!("batches of our own paid {paid} instead of {wanted}").into());
        }
        Ok((batches * PAYMENTS_PER_TX) as f64 / took.as_secs_f64())
    }

    fn next_nonce(&mut self) -> Fallible<u64> {
        let own = self.key.address;
        let count = self
            .rpc
            .call("eth_getTransactionCount", json!([own, "latest"]))?;
        Ok(u64::try_from(rpc::number(&count)?)?)
    }

    fn wait_for(&mut self, hash: B256) -> Fallible<()> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let receipt = self.rpc.call("eth_getTransactionReceipt", json!([hash]))?;
            match receipt["status"].as_str() {
                Some("0x1") => return Ok(()),
                Some(_) => return Err("a transaction of our own was reverted".into()),
                None => std::thread::sleep(PAUSE),
            }
        }
        Err("a transaction of our own is not mined".into())
    }
}

fn start_devnet(binary: &Path, folder: &Path) -> Fallible<(Process, SocketAddr)> {
    let mut command = Command::new(binary);
    command.args(["devnet", "--only", "evm", "--evm-port", "0", "--json"]);
    command.args(["--gas-limit", BLOCK_GAS]);
    let (process, line) = Process::start("devnet", &mut command, &folder.join("devnet.log"))?;
    let ready: Value = serde_json::from_str(&line)?;
    let url = ready["evm"]["rpc"]
        .as_str()
        .ok_or("the devnet names no RPC")?;
    Ok((process, product::address_of(url)?))
}

fn start_anvil(folder: &Path) -> Fallible<(Process, SocketAddr)> {
    // Free when asked for; nobody else on a machine that measures takes it meanwhile.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut command = Command::new(find_anvil()?);
    command
        .args(["--silent", "--chain-id", &CHAIN_ID.to_string()])
        .args(["--port", &address.port().to_string()])
        .args(["--gas-limit", BLOCK_GAS])
        .stdout(Stdio::null());
    let process = Process::spawn("anvil", &mut command, &folder.join("anvil.log"))?;
    let began = Instant::now();
    loop {
        match Rpc::connect(address).and_then(|mut rpc| rpc.call("eth_chainId", json!([]))) {
            Ok(_) => return Ok((process, address)),
            Err(error) if began.elapsed() > PATIENCE => {
                return Err(format!("anvil does not answer: {error}").into());
            }
            Err(_) => std::thread::sleep(PAUSE * 10),
        }
    }
}

fn find_anvil() -> Fallible<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let packaged = product::repository().join("interop/node_modules/@foundry-rs");
    let packages = std::fs::read_dir(packaged).into_iter().flatten().flatten();
    std::env::split_paths(&path)
        .map(|folder| folder.join("anvil"))
        .chain(packages.map(|package| package.path().join("bin/anvil")))
        .find(|file| file.is_file())
        .ok_or_else(|| {
            "there is no anvil on PATH; install it, or run `npm install` in interop/".into()
        })
}

/// `("USDC", "USDC", "2", 6, minter)` as the constructor takes them.
fn usd_arguments() -> Vec<u8> {
    use alloy_primitives::bytes::BufMut as _;
    let mut words = Vec::new();
    let number =
        |words: &mut Vec<u8>, value: u64| words.put_slice(&U256::from(value).to_be_bytes::<32>());
    let texts = ["USDC", "USDC", "2"];
    let mut place = 5 * 32;
    for _ in texts {
        number(&mut words, place);
        place += 64;
    }
    number(&mut words, 6);
    words.put_slice(Address::with_last_byte(1).into_word().as_slice());
    for text in texts {
        number(&mut words, text.len() as u64);
        let mut word = [0; 32];
        word[..text.len()].copy_from_slice(text.as_bytes());
        words.put_slice(&word);
    }
    words
}

/// `settle(token, gasEach, payments)`.
fn settle_call(records: &[u8]) -> Vec<u8> {
    let mut call = keccak256("settle(address,uint256,bytes)")[..4].to_vec();
    call.extend(USDC.into_word());
    for number in [GAS_EACH, 3 * 32, records.len() as u64] {
        call.extend(U256::from(number).to_be_bytes::<32>());
    }
    call.extend(records);
    call.resize(4 + (call.len() - 4).div_ceil(32) * 32, 0);
    call
}

fn raw_hex(raw: &[u8]) -> String {
    format!("0x{}", hex::encode(raw))
}
