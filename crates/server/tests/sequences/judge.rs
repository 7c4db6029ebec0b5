//! What holds after every batch of requests and at the end of every sequence.

use farebox_core::ledger::{Filter, Ledger, Payment};
use farebox_core::payment::{Phase, Role};

use super::requests::{Kind, Made};
use super::world::{PRICE, is_fair};
use super::{Manners, Talk, Upstream, Weather, World};
use crate::answers::{self, Answer};
use crate::fake_rail::Plan;
use crate::recorder::MARK;

type Verdict = Result<(), String>;

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Verdict {
    match holds {
        true => Ok(()),
        false => Err(why()),
    }
}

/// Every answer is one, and the one that was to be expected; the upstream was called for nothing
/// unpaid, and for no credential twice.
pub(super) fn batch(world: &mut World, weather: &Weather, talks: &[Talk]) -> Verdict {
    for talk in talks {
        let answers = read(talk, weather)?;
        for answer in &answers {
            documented(answer, weather, talk)?;
        }
        if talk.manners == Manners::Good {
            expected(world, talk, &answers, weather, talks)?;
        }
        let paid = answers.iter().filter(|answer| is_paid_content(answer));
        for answer in paid {
            let receipt = answer.header("payment-response");
            ensure(receipt.is_some(), || {
                format!("served without a receipt: {answer:?}")
            })?;
            world.served += 1;
        }
    }
    // It takes over what has reached the upstream.
    world.set(weather);
    every_call_was_paid(world)
}

/// Takes the bytes of a connection apart.
fn read(talk: &Talk, weather: &Weather) -> Result<Vec<Answer>, String> {
    let mut left = talk.received.clone();
    let mut all = Vec::new();
    loop {
        let asked = talk.made.get(all.len());
        let is_head = asked.is_some_and(|made| made.is_head);
        match answers::take(&mut left, is_head, talk.is_closed) {
            Ok(Some(answer)) => all.push(answer),
            Ok(None) => break,
            // Which request a spoiled one was, nobody knows: an answer to HEAD has no body.
            Err(_) if talk.manners == Manners::Spoiled => break,
            Err(why) => return Err(format!("not framed: {why}")),
        }
    }
    let may_break = talk.manners != Manners::Good || weather.upstream == Upstream::BreaksOff;
    let text = || String::from_utf8_lossy(&left).into_owned();
    ensure(left.is_empty() || may_break, || {
        format!("not whole: {:?}", text())
    })?;
    Ok(all)
}

/// Errors of ours are those that are written down, and come when they should.
fn documented(answer: &Answer, weather: &Weather, talk: &Talk) -> Verdict {
    let is_spoiled = talk.manners == Manners::Spoiled;
    let is_of_upstream = answer.header("x-upstream").is_some();
    let may_be = match answer.status {
        500 => is_of_upstream,
        501 | 504 => is_spoiled,
        502 => weather.upstream != Upstream::Good,
        503 => weather.plan == Plan::Unreachable,
        100 | 200 | 204 | 400 | 402 | 404 | 409 => true,
        413 | 414 | 431 => is_spoiled,
        _ => false,
    };
    ensure(may_be, || format!("undocumented here: {answer:?}"))?;
    let says_why = ["payment-required", "payment-response"]
        .iter()
        .any(|name| answer.header(name).is_some());
    ensure(answer.status != 402 || says_why, || {
        format!("402 without a word: {answer:?}")
    })
}

/// Requests that nothing was wrong with are all answered, each with what its kind gets.
fn expected(
    world: &mut World,
    talk: &Talk,
    answers: &[Answer],
    weather: &Weather,
    talks: &[Talk],
) -> Verdict {
    let last = talk.made.iter().position(|made| made.closes);
    let wanted = last.map_or(talk.made.len(), |last| last + 1);
    let may_end_early = weather.upstream == Upstream::BreaksOff;
    let all_came = answers.len() == wanted || (may_end_early && answers.len() < wanted);
    ensure(all_came, || {
        format!("{} answers to {wanted}", answers.len())
    })?;
    for (made, answer) in talk.made.iter().zip(answers) {
        let is_alone = made.ticket.is_some_and(|number| {
            let others = talks.iter().flat_map(|talk| &talk.made);
            others.filter(|other| other.ticket == Some(number)).count() == 1
        });
        let may_be = match made.kind {
            Kind::Free => free(answer, weather),
            Kind::Unpaid | Kind::Forged => answer.status == 402,
            Kind::Two | Kind::Refused => answer.status == 400,
            Kind::Preflight => answer.status == 204,
            Kind::New if is_alone && is_fair(weather) => answer.status == 200,
            Kind::New | Kind::Repeat => true,
            Kind::Elsewhere => answer.status != 404,
        };
        ensure(may_be, || format!("{:?} got {answer:?}", made.kind))?;
        served(world, made, answer)?;
    }
    Ok(())
}

fn free(answer: &Answer, weather: &Weather) -> bool {
    match weather.upstream {
        Upstream::Good => answer.status == 200,
        Upstream::Fails => answer.status == 500,
        Upstream::HangsUp => answer.status == 502,
        Upstream::BreaksOff => true,
    }
}

/// Whoever has read a whole answer with a credential does not get it again.
fn served(world: &mut World, made: &Made, answer: &Answer) -> Verdict {
    let Some(ticket) = made.ticket.and_then(|number| world.tickets.get_mut(number)) else {
        return ensure(!is_paid_content(answer), || {
            format!("served unpaid: {answer:?}")
        });
    };
    let is_good = answer.status == 200 && answer.header("payment-response").is_some();
    ticket.served += usize::from(is_good);
    ensure(ticket.served <= 1, || {
        format!("{:?} was served twice", made.ticket)
    })
}

/// Whether it is what the upstream says about something with a price.
fn is_paid_content(answer: &Answer) -> bool {
    let body = String::from_utf8_lossy(&answer.body);
    body.starts_with(MARK)
        && [" /paid/", " /dear/"]
            .iter()
            .any(|path| body.contains(path))
}

/// Counts what has reached the upstream.
pub(super) fn calls(world: &mut World, heads: &[String]) {
    for head in heads {
        let head = head.to_ascii_lowercase();
        let path = head.split(' ').nth(1).unwrap_or_default();
        if path.starts_with("/free/") {
            continue;
        }
        let number = head.split("\r\nx-ticket: ").nth(1);
        let number = number.and_then(|rest| rest.split('\r').next()?.parse::<usize>().ok());
        match number.and_then(|number| world.tickets.get_mut(number)) {
            Some(ticket) => ticket.calls += 1,
            None => world.strays.push(head),
        }
    }
}

/// The upstream was called with a price only for who showed a credential, and once for each, unless
/// something went wrong in between.
fn every_call_was_paid(world: &World) -> Verdict {
    ensure(world.strays.is_empty(), || {
        format!("called unpaid: {:?}", world.strays)
    })?;
    for (number, ticket) in world.tickets.iter().enumerate() {
        let (calls, shown, excuses) = (ticket.calls, ticket.shown, ticket.excuses);
        let why =
            || format!("ticket {number}: {calls} calls, shown {shown} times, {excuses} excuses");
        ensure(calls <= shown && calls <= 1 + excuses, why)?;
    }
    Ok(())
}

/// The books add up, and have a settled payment for everything that was handed over.
pub(super) async fn books(world: &mut World) -> Verdict {
    every_call_was_paid(world)?;
    let sound = world.ledger.verify(true).await;
    ensure(sound.is_ok(), || format!("the books: {sound:?}"))?;
    let (settled, revenue) = at_rest(world).await?;
    let (served, paid) = (world.served, settled.len());
    ensure(served <= paid, || {
        format!("{served} served, {paid} settled")
    })?;
    for (number, ticket) in world.tickets.iter().enumerate() {
        let name = format!("fake:nonce-{number}");
        let has_name = |payment: &Payment| {
            payment
                .identity
                .as_ref()
                .is_some_and(|identity| identity.as_str() == name)
        };
        let is_paid = settled.iter().any(has_name);
        ensure(ticket.served == 0 || is_paid, || {
            format!("ticket {number} was served unpaid")
        })?;
    }
    let sum = PRICE * u128::try_from(paid).expect("few");
    let is_even = u128::try_from(revenue) == Ok(sum);
    ensure(is_even, || format!("{revenue} in the books, {sum} settled"))
}

/// The settled payments and the revenue of one moment. What a client that is gone has left behind may
/// still be settling, so the payments are read before the sums and after them, until both agree.
async fn at_rest(world: &World) -> Result<(Vec<Payment>, i128), String> {
    loop {
        let before = settled(world).await?;
        let accounts = world.ledger.books().await.map_err(|e| e.to_string())?;
        if settled(world).await?.len() == before.len() {
            let revenue = accounts
                .iter()
                .filter(|account| account.account.starts_with("seller/revenue/"))
                .map(|account| account.balance);
            return Ok((before, revenue.sum()));
        }
        world.seller.finish().await;
    }
}

async fn settled(world: &World) -> Result<Vec<Payment>, String> {
    let filter = Filter {
        role: Some(Role::Seller),
        ..Filter::default()
    };
    let mut payments = world.ledger.list(filter).await.map_err(|e| e.to_string())?;
    payments.retain(|payment| payment.state.phase == Phase::Settled);
    Ok(payments)
}
