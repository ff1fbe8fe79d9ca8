import { expect, test } from "tstyche";
import { type AnyView, customStore, type GlobalTable, type Instance, type KeyValueView, keyValueStore, orderedStore, serde, sessionStore, type SessionView, type Table, type TableView, versionedStore, type VersionedView, type WindowedTable, type WindowedTableView, windowStore, type WindowView } from "@iot-topology/core";
import type { DriverStore, TestDriver } from "@iot-topology/core/testing";

declare const instance: Instance;
declare const counts: Table<number>;
declare const visits: WindowedTable<string>;
declare const places: GlobalTable<string>;

test("a store is asked by what declared it, with its type", () => {
  expect(instance.store(counts)).type.toBe<TableView<number>>();
  expect(instance.store(counts).get("a")).type.toBe<Promise<number | undefined>>();
  expect(instance.store(visits)).type.toBe<WindowedTableView<string>>();
  expect(instance.store(places)).type.toBe<TableView<string>>();
  expect(instance.store(keyValueStore("a", { value: serde.string() }))).type.toBe<KeyValueView<string>>();
  expect(instance.store(orderedStore("a", { value: serde.string() }))).type.toBe<KeyValueView<string>>();
  expect(instance.store(windowStore("a", { value: serde.int64(), retention: 5 }))).type.toBe<WindowView<bigint>>();
  expect(instance.store(sessionStore("a", { value: serde.int64(), retention: 5 }))).type.toBe<SessionView<bigint>>();
  expect(instance.store(versionedStore("a", { value: serde.boolean(), history: 5 }))).type.toBe<VersionedView<boolean>>();
  expect(instance.store("a")).type.toBe<AnyView>();
  expect(instance.store(customStore("a", () => ({ flush: () => {}, committed: () => {} })))).type.toBe<never>();
  expect(instance.store).type.not.toBeCallableWith(5);
});

declare const driver: TestDriver;

test("the test driver reads a declared store with the type of its values", () => {
  expect(driver.store(keyValueStore("a", { value: serde.string() }))).type.toBe<DriverStore<string>>();
  expect(driver.store(orderedStore("a", { value: serde.string() }))).type.toBe<DriverStore<string>>();
  expect(driver.store(windowStore("a", { value: serde.int64(), retention: 5 }))).type.toBe<DriverStore<bigint>>();
  expect(driver.store(sessionStore("a", { value: serde.int64(), retention: 5 }))).type.toBe<DriverStore<bigint>>();
  expect(driver.store(versionedStore("a", { value: serde.boolean(), history: 5 }))).type.toBe<DriverStore<boolean>>();
  expect(driver.store("a")).type.toBe<DriverStore>();
  expect(driver.store).type.not.toBeCallableWith(5);
});
