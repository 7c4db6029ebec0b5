//! `--dry-run`: explains everything and holds nothing.

use farebox_buyer::{Report, Shown};
use serde_json::{Value, json};

use crate::purse::{Customer, get};
use crate::sellers::{Seller, answer, asks_with, offer};

async fn planned(customer: &Customer, seller: &Seller) -> Value {
    let mut call = get(&seller.url("/x"));
    call.dry_run = true;
    let fetched = customer.fetch(call).await.unwrap();
    assert!(customer.payments().await.is_empty());
    assert!(seller.shown().is_empty());
    serde_json::to_value(Report::of(&fetched, Shown::Nothing)).unwrap()
}

#[tokio::test]
async fn a_dry_run_explains_every_offer_and_pays_none() {
    let mut junk = offer();
    junk["asset"] = json!("0xjunk");
    let accepts = json!([junk, offer(), {"scheme": "exact"}]);
    let seller = Seller::with(move |_| {
        let response = asks_with(&accepts);
        async move { response }
    })
    .await;
    let report = planned(&Customer::with_budget_for(1).await, &seller).await;
    assert_eq!((&report["ok"], &report["exit"]), (&json!(true), &json!(0)));
    assert_eq!(report["status"], 402);
    assert_eq!(report["payment"], Value::Null);
    assert_eq!(
        report["decision"],
        json!({"allow": true, "rule": "within_limits"})
    );
    let offers = report["offers"].as_array().unwrap();
    let payable: Vec<_> = offers.iter().map(|o| o["payable"].clone()).collect();
    assert_eq!(payable, [false, true, false]);
    let good = &offers[1];
    assert_eq!(
        (&good["rail"], &good["amount"]),
        (&json!("evm"), &json!("1000"))
    );
    assert_eq!(good["cost"], json!({"amount": "0.001", "currency": "USD"}));
    assert_eq!(good["reason"], Value::Null);
}

#[tokio::test]
async fn a_dry_run_says_which_rule_would_refuse() {
    let seller = Seller::honest().await;
    let report = planned(&Customer::with_budget_for(0).await, &seller).await;
    assert_eq!(report["exit"], 3);
    assert_eq!(report["decision"], json!({"deny": true, "rule": "total"}));
    assert_eq!(report["offers"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_dry_run_of_what_is_free_or_absent_says_so() {
    let customer = Customer::with_budget_for(1).await;
    let free = Seller::with(|_| async { answer(200, None, "") }).await;
    let report = planned(&customer, &free).await;
    assert_eq!(report["decision"], json!({"allow": true, "rule": "free"}));
    assert_eq!(report["offers"], json!([]));
    let absent = Seller::with(|_| async { answer(404, None, "") }).await;
    assert_eq!(planned(&customer, &absent).await["exit"], 22);
    let unreadable = Seller::with(|_| async { answer(402, None, "") }).await;
    let report = planned(&customer, &unreadable).await;
    assert_eq!(report["exit"], 4);
    assert_eq!(
        report["decision"],
        json!({"deny": true, "rule": "challenge_unreadable"})
    );
}
