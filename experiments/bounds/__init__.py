"""Every bound of the linear regression theory compared with what it bounds."""
