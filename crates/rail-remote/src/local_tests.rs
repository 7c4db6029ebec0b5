//! What the local rail may still do through a journal that it keeps.

use super::*;

/// Takes every line.
struct Paper;

#[async_trait]
impl Journal for Paper {
    async fn sending(&self, _: &SentTransaction) -> Result<(), RailError> {
        Ok(())
    }

    async fn handing_over(&self, _: &Handle) -> Result<(), RailError> {
        Ok(())
    }
}

fn journal() -> Arc<LocalJournal> {
    LocalJournal::new(Arc::new(Paper), Handle::new("{}".to_owned()), false)
}

#[tokio::test]
async fn what_the_local_rail_did_not_send_in_time_it_never_sends() {
    let (journal, line) = (journal(), SentTransaction::by_stranger("0x01"));
    assert!(!journal.close().await);
    let refused = journal.sending(&line).await.expect_err("given up");
    assert_eq!(refused.code, "given_up");
}

#[tokio::test]
async fn what_the_local_rail_has_sent_it_may_follow() {
    let (journal, line) = (journal(), SentTransaction::by_stranger("0x01"));
    journal.sending(&line).await.expect("written");
    assert!(journal.close().await);
    journal.sending(&line).await.expect("with a higher fee");
}
