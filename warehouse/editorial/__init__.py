"""What people decide: reviews, withdrawals, tombstones."""
