"""What our users test their policies with."""
