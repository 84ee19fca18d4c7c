"""Jobs from insert to done: threads, cursors, the journal and quotas."""
