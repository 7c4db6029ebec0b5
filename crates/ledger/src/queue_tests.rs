//! What shares a transaction, and who waits for whom.

use super::*;

/// How many jobs each transaction had.
type Turns = Vec<usize>;

fn turn(turns: &mut Turns, batch: &mut [Box<dyn Job<Turns>>]) -> Result<(), LedgerError> {
    turns.push(batch.len());
    for job in batch {
        job.run(turns);
    }
    Ok(())
}

fn queue(from_jobs: usize, time: Duration) -> Queue<Turns> {
    let linger = Linger { from_jobs, time };
    Queue::start("turns", Turns::new(), turn, Some(linger)).expect("a thread")
}

#[tokio::test]
async fn after_a_transaction_of_many_the_next_one_waits_for_company() {
    let queue = queue(1, Duration::from_secs(1));
    queue.run(|_| Ok(())).await.expect("alone");
    let first = queue.run(|turns| Ok(turns.clone()));
    let second = async {
        // The thread has the first, and waits.
        while queue.jobs.capacity() < QUEUE_MAX {
            tokio::task::yield_now().await;
        }
        queue.run(|_| Ok(())).await
    };
    let (turns, second) = tokio::join!(first, second);
    second.expect("in company");
    assert_eq!(turns.expect("an answer"), [1, 2]);
}

#[tokio::test]
async fn where_few_come_nobody_waits() {
    // Whoever waited would do so for ever.
    let queue = queue(2, Duration::from_secs(1_000_000));
    for n in 1..=5 {
        let turns = queue.run(|turns| Ok(turns.clone())).await;
        assert_eq!(turns.expect("an answer"), vec![1; n]);
    }
}
