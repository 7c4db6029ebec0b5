//! What acts for an agent reaches no private address, neither by name nor by redirect.

use http::Method;

use crate::purse::{Customer, code, exit, get};
use crate::sellers::{Seller, answer, redirect};

fn by_agent(url: &str) -> farebox_buyer::Call {
    let mut call = get(url);
    call.agent = Some("bot".into());
    call.follow_redirects = true;
    call
}

#[tokio::test]
async fn an_agent_does_not_reach_this_machine() {
    let customer = Customer::with_budget_for(1).await;
    let seller = Seller::honest().await;
    let port = seller.base.rsplit(':').next().unwrap().to_owned();
    for url in [
        seller.url("/x"),
        format!("http://localhost:{port}/x"),
        format!("http://[::ffff:127.0.0.1]:{port}/x"),
        format!("http://0x7f000001:{port}/x"),
    ] {
        let result = customer.fetch(by_agent(&url)).await;
        let outcome = (exit(&result), code(&result));
        assert_eq!(outcome, (3, "private_address_refused"), "{url}");
        let mut guarded = get(&url);
        guarded.private_ok = false;
        assert_eq!(exit(&customer.fetch(guarded).await), 3, "{url}");
    }
    assert!(seller.seen().is_empty());
    // A person does.
    assert_eq!(exit(&customer.fetch(get(&seller.url("/x"))).await), 0);
}

#[tokio::test]
async fn a_redirect_leads_an_agent_no_further_in() {
    let inside = Seller::honest().await;
    let to = inside.url("/x").replace("127.0.0.1", "localhost");
    let door = Seller::with(move |_| {
        let response = redirect(302, &to);
        async move { response }
    })
    .await;
    // The door is allowed by its address, what is behind it is not.
    let customer = Customer::with_budget_for(1).await.allowing("127.0.0.1/32");
    let result = customer.fetch(by_agent(&door.url("/"))).await;
    match code(&result) {
        // Where localhost has an IPv6 address too, that one is not allowed.
        "private_address_refused" => assert!(inside.seen().is_empty()),
        // Where it has not, it is the allowed address.
        _ => assert_eq!(inside.seen().len(), 1),
    }
    let metadata = redirect_to("http://169.254.169.254/latest/meta-data/").await;
    let result = customer.fetch(by_agent(&metadata.url("/"))).await;
    assert_eq!(
        (exit(&result), code(&result)),
        (3, "private_address_refused")
    );
}

async fn redirect_to(to: &'static str) -> Seller {
    Seller::with(move |_| async move { redirect(302, to) }).await
}

#[tokio::test]
async fn what_the_policy_allows_an_agent_reaches_and_pays_by_its_own_budget() {
    let customer = Customer::with_budget_for(5).await.allowing("127.0.0.1/32");
    let seller = Seller::honest().await;
    let result = customer.fetch(by_agent(&seller.url("/x"))).await;
    assert_eq!((exit(&result), code(&result)), (3, "no_budget"));
    let free = Seller::with(|_| async { answer(200, None, "free") }).await;
    assert_eq!(exit(&customer.fetch(by_agent(&free.url("/x"))).await), 0);
}

#[tokio::test]
async fn a_body_too_large_to_repeat_is_a_usage_error() {
    let customer = Customer::with_budget_for(1).await;
    let mut call = get("http://127.0.0.1:1/");
    call.method = Method::POST;
    call.body = vec![0; (16 << 20) + 1].into();
    let result = customer.fetch(call).await;
    assert_eq!(
        (exit(&result), code(&result)),
        (2, "request_body_too_large")
    );
}
