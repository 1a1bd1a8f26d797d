CREATE TABLE IF NOT EXISTS products (
    sku TEXT PRIMARY KEY,
    supplier TEXT NOT NULL,
    title TEXT NOT NULL,
    cents INTEGER NOT NULL,
    stock INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS search_words (
    word TEXT NOT NULL,
    sku TEXT NOT NULL,
    PRIMARY KEY (word, sku)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS payments (
    order_id INTEGER PRIMARY KEY,
    payment_id TEXT NOT NULL,
    cents INTEGER NOT NULL,
    paid_at REAL NOT NULL -- seconds since the Unix epoch
);
CREATE INDEX IF NOT EXISTS payments_by_time ON payments (paid_at);
CREATE TABLE IF NOT EXISTS reservations (
    order_id INTEGER NOT NULL,
    sku TEXT NOT NULL,
    PRIMARY KEY (order_id, sku)
) WITHOUT ROWID;
