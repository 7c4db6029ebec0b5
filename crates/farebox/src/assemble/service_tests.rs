//! What looks after payments beside a server.

use super::*;

#[tokio::test]
async fn a_task_that_breaks_off_is_noticed_and_one_that_ends_is_not() {
    let fallen = CancellationToken::new();
    assert_eq!(noticed(async { 7 }, fallen.clone()).await, 7);
    assert!(!fallen.is_cancelled());
    let broken = tokio::spawn(noticed(async { panic!("on purpose") }, fallen.clone()));
    fallen.cancelled().await;
    assert!(broken.await.is_err());
}
