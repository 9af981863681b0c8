"""What a design costs and how long its visitors wait: assumptions, a simulation of the queue, costs, break-even."""
