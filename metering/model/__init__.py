"""Pure rules of ticks and money: values in, values out."""
