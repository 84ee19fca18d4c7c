// Converts between encoded values (see types.py) and the values that a function gets and returns.
//
// The script's value is a function that takes the JSON of a batch of rows and returns the JSON of the results, or a promise
// of it. Errors of the function leave the script, so that they keep their place.
((entry, parameters, result) => {
  "use strict";

  class CoercionError extends Error {}

  const decode = (type, value) => {
    if (value === null) return null;
    switch (type.kind) {
      case "ARRAY":
        return value.map((each) => decode(type.element, each));
      case "STRUCT":
        return Object.fromEntries(type.fields.map((field, i) => [field.name, decode(field.type, value[i])]));
      case "FLOAT64":
        return Number(value);
      case "DATE":
        return new Date(value);
      case "TIMESTAMP":
        return Object.assign(new Date(value[0]), { microsecond: value[1] });
      case "JSON":
        return JSON.parse(value);
      default:
        return value;
    }
  };

  const shown = (value) => {
    if (typeof value === "string") return JSON.stringify(value);
    return Array.isArray(value) ? JSON.stringify(value) : String(value);
  };

  const encode = (type, value) => {
    if (value === null || value === undefined) return null;
    const fail = () => {
      throw new CoercionError(`Failed to coerce output value ${shown(value)} to type ${type.sql}`);
    };
    const kind = typeof value;
    switch (type.kind) {
      case "ARRAY":
        return Array.isArray(value) ? value.map((each) => encode(type.element, each)) : fail();
      case "STRUCT":
        if (kind !== "object" || Array.isArray(value)) fail();
        return type.fields.map((field) => encode(field.type, value[field.name]));
      case "INT64":
        if (kind === "number") return Number.isInteger(value) ? String(BigInt(value)) : fail();
        if (kind === "string") return /^[+-]?\d+$/.test(value.trim()) ? value.trim() : fail();
        return kind === "bigint" ? String(value) : fail();
      case "NUMERIC":
      case "BIGNUMERIC":
        if (kind === "number") return Number.isFinite(value) ? String(value) : fail();
        if (kind === "string") return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value.trim()) ? value.trim() : fail();
        return kind === "bigint" ? String(value) : fail();
      case "FLOAT64": {
        if (kind !== "number" && kind !== "string" && kind !== "bigint") fail();
        const number = Number(value);
        if (kind === "string" && (value.trim() === "" || (Number.isNaN(number) && value.trim() !== "NaN"))) fail();
        return Number.isFinite(number) ? number : String(number);
      }
      case "BOOL":
        return kind === "boolean" ? value : fail();
      case "DATE":
      case "TIMESTAMP": {
        if (!(value instanceof Date) || Number.isNaN(value.getTime())) fail();
        if (type.kind === "DATE") return value.getTime();
        return [value.getTime(), Number.isInteger(value.microsecond) ? value.microsecond % 1000 : 0];
      }
      case "JSON":
        return JSON.stringify(value) ?? null;
      case "BYTES":
        return kind === "string" ? value : fail();
      default:
        return String(value);
    }
  };

  const finish = (outputs) => {
    try {
      return JSON.stringify({ values: outputs.map((each) => encode(result, each)) });
    } catch (error) {
      if (error instanceof CoercionError) return JSON.stringify({ failure: error.message });
      throw error;
    }
  };

  return (rows) => {
    const outputs = [];
    for (const row of JSON.parse(rows)) {
      outputs.push(entry(...row.map((value, i) => decode(parameters[i], value))));
    }
    return outputs.some((each) => each instanceof Promise) ? Promise.all(outputs).then(finish) : finish(outputs);
  };
})
