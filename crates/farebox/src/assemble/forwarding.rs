//! Where a gate forwards to: the upstream of every route, whom it has to convince, and its times.
//!
//! Used by `selling` and `checking`. Files with certificates are read here, so that one that cannot be
//! used is refused before anything is listened on.

use std::collections::HashMap;
use std::path::PathBuf;

use farebox_seller::RouteMatcher;
use farebox_server::{GatewayOptions, Timeouts, Upstream, Upstreams};

use super::selling::invalid;
use crate::config::{RouteSection, TimeoutsSection, Timespan, Unmatched};
use crate::failure::Failure;

/// How references to files begin.
const FILE: &str = "file:";

/// What the file says about it, besides the routes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forwarding {
    /// What relative paths are relative to.
    pub(crate) base: PathBuf,
    pub(crate) timeouts: TimeoutsSection,
}

impl Forwarding {
    /// The upstream of every route.
    ///
    /// # Errors
    /// Exit 2, naming the route's text or file.
    pub(super) fn upstreams(
        &self,
        routes: &[RouteSection],
        unmatched: Unmatched,
    ) -> Result<Upstreams, Failure> {
        refuse_no_time(&self.timeouts, "[timeouts]")?;
        let mut by_route = HashMap::new();
        for section in routes {
            let matcher: RouteMatcher = section
                .matcher
                .parse()
                .map_err(|why| invalid(format!("{why}")))?;
            by_route.insert(matcher.to_string(), self.upstream(section)?);
        }
        let unmatched = match unmatched {
            Unmatched::NotFound => None,
            Unmatched::Free => Some(only_upstream(&by_route)?),
        };
        Ok(Upstreams {
            by_route,
            unmatched,
        })
    }

    fn upstream(&self, section: &RouteSection) -> Result<Upstream, Failure> {
        let upstream: Upstream = section
            .upstream
            .parse()
            .map_err(|why| invalid(format!("{why}")))?;
        let own = section.timeouts;
        refuse_no_time(&own, &format!("timeouts of {:?}:", section.matcher))?;
        let upstream = upstream.waiting(Timeouts {
            connect_ms: own.connect.map(millis),
            head_ms: own.head.map(millis),
            idle_ms: own.idle.map(millis),
        });
        let Some(reference) = &section.upstream_ca else {
            return Ok(upstream);
        };
        let path = reference.strip_prefix(FILE).ok_or_else(|| {
            invalid(format!(
                "upstream_ca = {reference:?} is no file; write it like \"file:ca.pem\""
            ))
        })?;
        let path = self.base.join(path);
        let pem = std::fs::read(&path).map_err(|error| {
            invalid(format!(
                "upstream_ca: {} cannot be read: {error}",
                path.display()
            ))
        })?;
        upstream
            .trusting(&pem)
            .map_err(|why| invalid(format!("{}: {why}", path.display())))
    }

    /// The usual options with the times of the file.
    pub(super) fn options(&self) -> GatewayOptions {
        let usual = GatewayOptions::default();
        let ms = |span: Option<Timespan>, usual: u64| span.map_or(usual, millis);
        GatewayOptions {
            upstream_connect_ms: ms(self.timeouts.connect, usual.upstream_connect_ms),
            upstream_head_ms: ms(self.timeouts.head, usual.upstream_head_ms),
            upstream_idle_ms: ms(self.timeouts.idle, usual.upstream_idle_ms),
            ..usual
        }
    }
}

fn millis(span: Timespan) -> u64 {
    u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX)
}

/// Refuses a time in which nothing can happen; `named` says where it stands.
fn refuse_no_time(timeouts: &TimeoutsSection, named: &str) -> Result<(), Failure> {
    let TimeoutsSection {
        connect,
        head,
        idle,
    } = timeouts;
    let all = [("connect", connect), ("head", head), ("idle", idle)];
    match all
        .iter()
        .find(|(_, span)| span.is_some_and(|span| span.0.is_zero()))
    {
        Some((name, _)) => Err(invalid(format!(
            "{named} {name} is no time at all; write it like \"5s\""
        ))),
        None => Ok(()),
    }
}

/// Where free requests go: there has to be one answer. They are given the usual times.
fn only_upstream(by_route: &HashMap<String, Upstream>) -> Result<Upstream, Failure> {
    let usual = |upstream: &Upstream| upstream.clone().waiting(Timeouts::default());
    let mut all = by_route.values().map(usual);
    let first = all.next();
    first.filter(|first| all.all(|other| other == *first)).ok_or_else(|| {
        invalid(
            "unmatched = \"free\" needs one upstream, and the routes have several; add a last [[route]] with match = \"/*\" and price = \"0 USD\"".to_owned(),
        )
    })
}
