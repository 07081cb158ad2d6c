"""The paper's recurrences written out literally, one trajectory at a time, to check the library against."""
