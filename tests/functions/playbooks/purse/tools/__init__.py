"""Tools that move the business's own money, as tests use them."""
