"""Where bytes live: stores, control files, the commit log, manifests, and Parquet files."""
