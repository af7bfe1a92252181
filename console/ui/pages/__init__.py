"""The pages: each shows what its presenter hands it and passes on what the user does."""
