// Vectors are in metal_stdlib.
