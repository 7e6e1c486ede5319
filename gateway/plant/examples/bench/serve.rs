//! The loaded server. Prints its URL; to each line the changes it has offered so far. A line with a number gives that
//! value to all signals at once first.

use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio_util::sync::CancellationToken;
use watchfire_plant::load::{LoadOptions, LoadServer};

use crate::Failure;

/// Serves until standard input ends.
pub async fn serve(signals: u32, rate_hz: f64) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    let options = LoadOptions { host: "127.0.0.1".to_owned(), port: 0, signals, rate_hz };
    let server = LoadServer::start(options, stop.clone()).await?;
    println!("{}", server.url());
    let mut asked = BufReader::new(stdin()).lines();
    while let Some(line) = asked.next_line().await? {
        if let Ok(value) = line.trim().parse() {
            server.change_all(value);
        }
        println!("{}", server.changes());
    }
    stop.cancel();
    server.stopped().await;
    Ok(())
}
