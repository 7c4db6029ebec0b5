//! Polling filters: `eth_newFilter` and its relatives. Each filter is a subscription that is read when it is polled.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;

use super::logs::LogFilter;
use super::params::Params;
use super::{Answer, Rpc, RpcError, render};
use crate::chain::ChainEvent;

/// Open filters; each holds back events until it is polled.
const MAX_FILTERS: usize = 1000;
/// A filter that nobody polls so long is removed, as in geth.
const FILTER_LIFETIME: Duration = Duration::from_secs(300);

/// What a filter or a subscription tells.
#[derive(Debug)]
pub(crate) enum Topic {
    Blocks,
    Pending,
    Logs(LogFilter),
}

/// The open filters.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    open: HashMap<u64, Filter>,
    last_id: u64,
}

#[derive(Debug)]
struct Filter {
    topic: Topic,
    events: broadcast::Receiver<ChainEvent>,
    polled: Instant,
}

impl Rpc {
    pub(crate) fn new_log_filter(&self, params: &Params) -> Answer {
        let filter: LogFilter = params.required(0)?;
        filter.check()?;
        self.open(Topic::Logs(filter))
    }

    pub(crate) fn new_block_filter(&self) -> Answer {
        self.open(Topic::Blocks)
    }

    pub(crate) fn new_pending_filter(&self) -> Answer {
        self.open(Topic::Pending)
    }

    pub(crate) fn filter_changes(&self, params: &Params) -> Answer {
        let mut filters = self.filters.lock();
        let filter = filters.get(params)?;
        let mut found = Vec::new();
        loop {
            match filter.events.try_recv() {
                Ok(event) => filter.topic.of_event(&event, &mut found),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return Ok(Value::Array(found)),
                Err(TryRecvError::Lagged(_)) => {
                    return Err(RpcError::limit(
                        "the filter was polled too rarely and has lost events",
                    ));
                }
            }
        }
    }

    pub(crate) fn filter_logs(&self, params: &Params) -> Answer {
        let filter = match &self.filters.lock().get(params)?.topic {
            Topic::Logs(filter) => filter.clone(),
            Topic::Blocks | Topic::Pending => return Err(RpcError::params("not a log filter")),
        };
        self.get_logs(&filter)
    }

    pub(crate) fn uninstall_filter(&self, params: &Params) -> Answer {
        let id = params.number(0)?.unwrap_or_default();
        Ok(json!(self.filters.lock().open.remove(&id).is_some()))
    }

    fn open(&self, topic: Topic) -> Answer {
        let mut filters = self.filters.lock();
        filters
            .open
            .retain(|_, filter| filter.polled.elapsed() < FILTER_LIFETIME);
        if filters.open.len() >= MAX_FILTERS {
            return Err(RpcError::limit(format!(
                "at most {MAX_FILTERS} filters; remove some with eth_uninstallFilter"
            )));
        }
        filters.last_id = filters.last_id.saturating_add(1);
        let id = filters.last_id;
        let filter = Filter {
            topic,
            events: self.chain.subscribe(),
            polled: Instant::now(),
        };
        filters.open.insert(id, filter);
        Ok(render::quantity(id))
    }
}

impl Filters {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn get(&mut self, params: &Params) -> Result<&mut Filter, RpcError> {
        let id = params.number(0)?.unwrap_or_default();
        let filter = self
            .open
            .get_mut(&id)
            .ok_or_else(|| RpcError::server("filter not found"))?;
        filter.polled = Instant::now();
        Ok(filter)
    }
}

impl Topic {
    /// What a polling filter tells of an event: hashes, or logs (those of a removed block with `removed: true`).
    fn of_event(&self, event: &ChainEvent, found: &mut Vec<Value>) {
        match (self, event) {
            (Self::Blocks, ChainEvent::Mined(block)) => found.push(json!(block.hash)),
            (Self::Pending, ChainEvent::Pending(hash)) => found.push(json!(hash)),
            _ => self.logs_of(event, found),
        }
    }

    /// What a subscription tells: headers instead of block hashes.
    pub(crate) fn notify(&self, event: &ChainEvent, found: &mut Vec<Value>) {
        match (self, event) {
            (Self::Blocks, ChainEvent::Mined(block)) => found.push(render::header(block)),
            _ => self.of_event(event, found),
        }
    }

    fn logs_of(&self, event: &ChainEvent, found: &mut Vec<Value>) {
        match (self, event) {
            (Self::Logs(filter), ChainEvent::Mined(block)) => filter.of_block(block, false, found),
            (Self::Logs(filter), ChainEvent::Removed(block)) => filter.of_block(block, true, found),
            _ => {}
        }
    }
}
