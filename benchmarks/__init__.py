"""This project beside Skein and Knit 0.2.4, on one cluster and by one clock."""
