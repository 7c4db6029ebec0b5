//! Budgets as they are shown, and what they say beforehand.

use super::*;

fn line(level: Level, agent: Option<&str>, limit: u128, spent: u128, reserved: u128) -> BudgetLine {
    BudgetLine {
        level,
        agent: agent.map(str::to_owned),
        limit: Some(UsdMicros(limit)),
        spent: UsdMicros(spent),
        reserved: UsdMicros(reserved),
    }
}

#[test]
fn what_is_left_counts_reserved_money() {
    let mut unlimited = line(Level::Total, None, 0, 7, 0);
    unlimited.limit = None;
    let view = BudgetView::new(&[
        line(Level::Day, None, 1_000_000, 250_000, 50_000),
        line(Level::Total, Some("bot"), 10, 8, 8),
        unlimited,
    ]);
    let json = serde_json::to_value(&view).unwrap();
    assert_eq!(json["currency"], "USD");
    assert_eq!(
        json["levels"][0],
        serde_json::json!({
            "level": "day", "agent": null, "limit": "1", "spent": "0.25", "reserved": "0.05",
            "left": "0.7"
        })
    );
    assert_eq!(json["levels"][1]["left"], "0");
    assert_eq!(json["levels"][2]["limit"], serde_json::Value::Null);
    assert_eq!(json["levels"][2]["left"], serde_json::Value::Null);
}

#[test]
fn a_preview_asks_the_owners_budget_and_the_agents() {
    let lines = [
        line(Level::Total, None, 100, 0, 90),
        line(Level::Payment, Some("bot"), 5, 0, 0),
    ];
    let ask = |agent, cost| preview(&lines, agent, UsdMicros(cost)).map_err(|d| d.rule());
    assert_eq!(ask(None, 10), Ok(()));
    assert_eq!(ask(None, 11), Err("total"));
    assert_eq!(ask(Some("bot"), 5), Ok(()));
    assert_eq!(ask(Some("bot"), 6), Err("per_payment"));
    assert_eq!(ask(Some("stranger"), 1), Err("no_budget"));
    assert_eq!(
        preview(&[], None, UsdMicros(0)).map_err(|d| d.rule()),
        Err("no_budget")
    );
}
