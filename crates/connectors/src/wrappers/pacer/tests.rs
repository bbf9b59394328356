//! Places and moments under a clock that stands still unless it is moved.

use async_trait::async_trait;

use super::*;

/// Grants what it is told, in that order, and keeps what was needed.
#[derive(Debug, Default)]
struct Told {
    grants: Mutex<Vec<Option<Grant>>>,
    needs: Mutex<Vec<Need>>,
}

#[async_trait]
impl Source for Told {
    async fn grant(&self, need: Need) -> Option<Grant> {
        self.needs.lock().unwrap().push(need);
        self.grants.lock().unwrap().pop().flatten()
    }
}

fn told(mut grants: Vec<Option<Grant>>) -> (Arc<Pacer>, Arc<Told>) {
    grants.reverse();
    let told = Arc::new(Told { grants: Mutex::new(grants), needs: Mutex::default() });
    (Arc::new(Pacer::new(told.clone())), told)
}

fn grant(places: u32, seconds: u64) -> Grant {
    Grant { places, until: Instant::now() + Duration::from_secs(seconds), rate: None }
}

/// Ten a second.
fn rated(moments: Option<(Instant, u32)>) -> Grant {
    let interval = Duration::from_millis(100);
    let moments = moments.map(|(first, count)| Moments { first, count, interval });
    Grant { rate: Some(Rate { per_second: 10.0, moments }), ..grant(9, 10) }
}

#[tokio::test(start_paused = true)]
async fn no_place_is_taken_after_the_grant_or_where_there_is_none_q11() {
    let start = Instant::now();
    let (pacer, told) = told(vec![Some(grant(1, 1)), None, Some(grant(0, 9)), Some(grant(1, 9))]);
    drop(pacer.place().await);
    time::advance(Duration::from_secs(1)).await;
    drop(pacer.place().await);
    assert_eq!(start.elapsed(), Duration::from_millis(1_200), "twice a little later");
    assert_eq!(told.needs.lock().unwrap().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn no_call_begins_in_a_place_after_the_grant_q11() {
    let (pacer, told) = told(vec![Some(grant(1, 1)), Some(grant(1, 9))]);
    let _place = pacer.place().await;
    time::advance(Duration::from_secs(1)).await;
    pacer.moment().await;
    let need = Need { under_way: 1, waiting: 0, lacks_moments: true };
    assert_eq!(told.needs.lock().unwrap()[1], need);
}

#[tokio::test(start_paused = true)]
async fn who_has_a_place_does_not_wait_for_those_in_line() {
    let (pacer, _) = told(vec![Some(grant(1, 9))]);
    let place = pacer.place().await;
    let next = {
        let pacer = pacer.clone();
        tokio::spawn(async move { drop(pacer.place().await) })
    };
    tokio::task::yield_now().await;
    pacer.moment().await;
    drop(place);
    next.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_moment_that_was_missed_is_lost_q11() {
    let start = Instant::now();
    let late = start + Duration::from_secs(3);
    let (pacer, _) =
        told(vec![Some(rated(None)), Some(rated(Some((start, 5)))), Some(rated(Some((late, 1))))]);
    assert_eq!(pacer.ahead().await, 10);
    time::advance(Duration::from_millis(100)).await;
    pacer.moment().await;
    time::advance(Duration::from_millis(350)).await;
    pacer.moment().await;
    assert_eq!(start.elapsed(), Duration::from_millis(450), "the fifth is still there");
    pacer.moment().await;
    assert_eq!(start.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_asks_for_no_moment_and_keeps_those_that_are_left() {
    let (pacer, told) = told(vec![Some(rated(Some((Instant::now(), 5)))), Some(rated(None))]);
    pacer.moment().await;
    pacer.renew().await;
    assert!(!told.needs.lock().unwrap()[1].lacks_moments);
    pacer.moment().await;
    assert_eq!(told.needs.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn it_lets_go_only_while_no_place_is_taken() {
    let (pacer, _) = told(vec![Some(grant(1, 9))]);
    let place = pacer.place().await;
    assert!(!pacer.let_go().await);
    assert_eq!(pacer.ahead().await, UNLIMITED, "the place is ours, though it is taken");
    drop(place);
    assert!(pacer.let_go().await);
}
